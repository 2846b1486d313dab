"""Makes a small Llama with grouped-query attention, a byte-level tokenizer and random weights: make_model.py FOLDER 3m|185m."""
import glob
import sys
import sysconfig

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

folder, size = sys.argv[1:]
SIZES = {
    # logits far apart: a greedy answer is the same for whoever computes it.
    "3m": dict(hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.06),
    "185m": dict(hidden_size=1024, intermediate_size=2816, num_hidden_layers=16, num_attention_heads=16, num_key_value_heads=4, initializer_range=0.02),
}
SPECIAL = ["<|bos|>", "<|eos|>", "<|pad|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = """\
{% if tools %}<|im_start|>system
{{ tools | tojson }}<|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
# any text does to learn from: the sources of Python's own library are on every machine.
sources = sorted(glob.glob(sysconfig.get_paths()["stdlib"] + "/*.py"))[:100]
texts = [open(source, errors="ignore").read() for source in sources]
trainer = trainers.BpeTrainer(vocab_size=4096, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
tokenizer.train_from_iterator(texts, trainer)
wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=SPECIAL[0], eos_token=SPECIAL[1], pad_token=SPECIAL[2])
wrapped.chat_template = TEMPLATE
wrapped.save_pretrained(folder)

torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=len(wrapped), head_dim=64, max_position_embeddings=8192, bos_token_id=0, eos_token_id=1, pad_token_id=2, tie_word_embeddings=True, **SIZES[size],
)
LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
