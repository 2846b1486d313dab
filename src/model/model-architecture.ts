import { nearestNames } from '../nearest';
import { ProblemsError } from '../problems';
import { checkArchitecture } from './check-architecture';
import * as data from './data/models.json';
import { architectureOf, Dimensions } from './dimensions';
import { dimensionsOfHuggingFaceConfig } from './hugging-face-config';
import { ArchitectureSpec, ModelSpec } from './model-spec';
import { Precision } from './precision';

interface ModelData {
  readonly aliases: string[];
  readonly dimensions: Dimensions;
  readonly source: string;
}

const MODELS = data as unknown as { readonly [id: string]: ModelData };

/**
 * What is served: the dimensions of a decoder-only transformer, and the bytes that follow from them.
 *
 * Parameters are counted from the dimensions (matrices only: no norms, biases, multi-token prediction layers or vision towers).
 */
export class ModelArchitecture {
  /** meta-llama/Llama-3.1-8B-Instruct. */
  public static readonly LLAMA_3_1_8B = ModelArchitecture.shipped('llama-3.1-8b');

  /** meta-llama/Llama-3.1-70B-Instruct. */
  public static readonly LLAMA_3_1_70B = ModelArchitecture.shipped('llama-3.1-70b');

  /** meta-llama/Llama-3.3-70B-Instruct. */
  public static readonly LLAMA_3_3_70B = ModelArchitecture.shipped('llama-3.3-70b');

  /** meta-llama/Llama-3.1-405B-Instruct. */
  public static readonly LLAMA_3_1_405B = ModelArchitecture.shipped('llama-3.1-405b');

  /** Qwen/Qwen3-8B. */
  public static readonly QWEN3_8B = ModelArchitecture.shipped('qwen3-8b');

  /** Qwen/Qwen3-32B. */
  public static readonly QWEN3_32B = ModelArchitecture.shipped('qwen3-32b');

  /** Qwen/Qwen3-0.6B. */
  public static readonly QWEN3_0_6B = ModelArchitecture.shipped('qwen3-0.6b');

  /** meta-llama/Llama-4-Scout-17B-16E-Instruct. */
  public static readonly LLAMA_4_SCOUT = ModelArchitecture.shipped('llama-4-scout');

  /** meta-llama/Llama-4-Maverick-17B-128E-Instruct. */
  public static readonly LLAMA_4_MAVERICK = ModelArchitecture.shipped('llama-4-maverick');

  /** openai/gpt-oss-20b. */
  public static readonly GPT_OSS_20B = ModelArchitecture.shipped('gpt-oss-20b');

  /** openai/gpt-oss-120b. */
  public static readonly GPT_OSS_120B = ModelArchitecture.shipped('gpt-oss-120b');

  /** Qwen/Qwen3-30B-A3B. */
  public static readonly QWEN3_30B_A3B = ModelArchitecture.shipped('qwen3-30b-a3b');

  /** Qwen/Qwen3-235B-A22B. */
  public static readonly QWEN3_235B_A22B = ModelArchitecture.shipped('qwen3-235b-a22b');

  /** Qwen/Qwen3-Coder-480B-A35B-Instruct. */
  public static readonly QWEN3_CODER_480B_A35B = ModelArchitecture.shipped('qwen3-coder-480b-a35b');

  /** deepseek-ai/DeepSeek-V3. */
  public static readonly DEEPSEEK_V3 = ModelArchitecture.shipped('deepseek-v3');

  /** deepseek-ai/DeepSeek-R1. */
  public static readonly DEEPSEEK_R1 = ModelArchitecture.shipped('deepseek-r1');

  /** deepseek-ai/DeepSeek-V3.2. */
  public static readonly DEEPSEEK_V3_2 = ModelArchitecture.shipped('deepseek-v3.2');

  /** moonshotai/Kimi-K2-Instruct. */
  public static readonly KIMI_K2 = ModelArchitecture.shipped('kimi-k2');

  /** moonshotai/Kimi-K2.5. */
  public static readonly KIMI_K2_5 = ModelArchitecture.shipped('kimi-k2.5');

  /** zai-org/GLM-5. */
  public static readonly GLM_5 = ModelArchitecture.shipped('glm-5');

  /** zai-org/GLM-5.2. */
  public static readonly GLM_5_2 = ModelArchitecture.shipped('glm-5.2');

  /** MiniMaxAI/MiniMax-M2. */
  public static readonly MINIMAX_M2 = ModelArchitecture.shipped('minimax-m2');

  /** mistralai/Mixtral-8x7B-Instruct-v0.1. */
  public static readonly MIXTRAL_8X7B = ModelArchitecture.shipped('mixtral-8x7b');

  /** mistralai/Mixtral-8x22B-Instruct-v0.1. */
  public static readonly MIXTRAL_8X22B = ModelArchitecture.shipped('mixtral-8x22b');

  /** zai-org/GLM-4.6. */
  public static readonly GLM_4_6 = ModelArchitecture.shipped('glm-4.6');

  /** zai-org/GLM-4.5-Air. */
  public static readonly GLM_4_5_AIR = ModelArchitecture.shipped('glm-4.5-air');

  /** Qwen/Qwen2.5-72B-Instruct. */
  public static readonly QWEN2_5_72B = ModelArchitecture.shipped('qwen2.5-72b');

  /** mistralai/Mistral-7B-v0.1. */
  public static readonly MISTRAL_7B = ModelArchitecture.shipped('mistral-7b');

  /** mistralai/Mistral-Large-Instruct-2407. */
  public static readonly MISTRAL_LARGE_2 = ModelArchitecture.shipped('mistral-large-2');

  /** meta-llama/Llama-2-7b-hf. */
  public static readonly LLAMA_2_7B = ModelArchitecture.shipped('llama-2-7b');

  /** meta-llama/Llama-2-13b-hf. */
  public static readonly LLAMA_2_13B = ModelArchitecture.shipped('llama-2-13b');

  /** meta-llama/Llama-2-70b-hf. */
  public static readonly LLAMA_2_70B = ModelArchitecture.shipped('llama-2-70b');

  /** meta-llama/Llama-3.2-1B-Instruct. */
  public static readonly LLAMA_3_2_1B = ModelArchitecture.shipped('llama-3.2-1b');

  /** bigscience/bloom. */
  public static readonly BLOOM_176B = ModelArchitecture.shipped('bloom-176b');

  /** facebook/opt-13b. */
  public static readonly OPT_13B = ModelArchitecture.shipped('opt-13b');

  /** facebook/opt-30b. */
  public static readonly OPT_30B = ModelArchitecture.shipped('opt-30b');

  /** facebook/opt-66b. */
  public static readonly OPT_66B = ModelArchitecture.shipped('opt-66b');

  /** facebook/opt-175b. */
  public static readonly OPT_175B = ModelArchitecture.shipped('opt-175b');

  /** Qwen/Qwen3.5-397B-A17B. */
  public static readonly QWEN3_5_397B_A17B = ModelArchitecture.shipped('qwen3.5-397b-a17b');

  /** Qwen/Qwen3.5-35B-A3B. */
  public static readonly QWEN3_5_35B_A3B = ModelArchitecture.shipped('qwen3.5-35b-a3b');

  /** Qwen/Qwen3.5-27B. */
  public static readonly QWEN3_5_27B = ModelArchitecture.shipped('qwen3.5-27b');

  /** google/gemma-4-31B-it. */
  public static readonly GEMMA_4_31B = ModelArchitecture.shipped('gemma-4-31b');

  /**
   * The shipped architecture of that id, alias or Hugging Face name, in any case.
   *
   * Throws a `ProblemsError` (`ModelUnknown`) with the nearest ids if there is none.
   *
   * @param idOrAlias an id such as `llama-3.3-70b` or a name such as `meta-llama/Llama-3.3-70B-Instruct`.
   */
  public static of(idOrAlias: string): ModelArchitecture {
    return ModelArchitecture.find(idOrAlias, 'model');
  }

  /** Every shipped architecture. */
  public static all(): ModelArchitecture[] {
    return Object.values(ModelArchitecture).filter((value) => value instanceof ModelArchitecture);
  }

  /**
   * The architecture that a Hugging Face `config.json` describes.
   *
   * Dense and mixture-of-experts models with multi-head, grouped-query, latent (MLA), sliding-window, chunked or gated-delta-net attention are
   * understood, whatever their `model_type`; the text part is read if the configuration nests one. Where a file leaves a key out, the default
   * of its `model_type` in the transformers library holds. Nothing else is made up.
   *
   * Throws a `ProblemsError` with every key that is missing, not a number, contradicts another or belongs to an architecture that cannot be
   * expressed here.
   *
   * @param config the parsed JSON.
   * @param id name for messages and reports; the `model_type` if it is not given.
   */
  public static fromHuggingFaceConfig(config: any, id?: string): ModelArchitecture {
    const spec = architectureOf(dimensionsOfHuggingFaceConfig(config));
    const type = typeof config.model_type === 'string' && config.model_type !== '' ? config.model_type : 'custom';
    return new ModelArchitecture(id ?? type, 'Hugging Face config.json given by the user', spec);
  }

  /**
   * The architecture that a deployment spec names or gives in full.
   *
   * Throws a `ProblemsError` with everything that is wrong with it.
   *
   * @param spec model of a deployment spec.
   */
  public static fromSpec(spec: ModelSpec): ModelArchitecture {
    if (spec.architecture === undefined) {
      return ModelArchitecture.find(spec.id, 'model.id');
    }
    checkArchitecture(spec);
    return new ModelArchitecture(spec.id, 'given by the user', spec.architecture);
  }

  /**
   * The shipped architecture of that id, alias or Hugging Face name, in any case; undefined if there is none.
   *
   * @internal
   */
  public static _named(idOrAlias: string): ModelArchitecture | undefined {
    return BY_NAME.get(idOrAlias.toLowerCase());
  }

  private static shipped(id: string): ModelArchitecture {
    return new ModelArchitecture(id, MODELS[id].source);
  }

  private static find(idOrAlias: string, path: string): ModelArchitecture {
    const name = typeof idOrAlias === 'string' ? idOrAlias : '';
    const found = ModelArchitecture._named(name);
    if (!found) {
      const nearest = nearestNames(name, Object.keys(MODELS));
      throw new ProblemsError([{
        rule: 'ModelUnknown',
        path,
        value: JSON.stringify(idOrAlias),
        message: 'there is no shipped model of this name',
        mend: `${nearest.length > 0 ? `use ${nearest.join(', ')}, or` : 'use the id of a shipped model, which the command "models" lists, or'} give the architecture in full`,
      }]);
    }
    return found;
  }

  /** Id, such as `llama-3.3-70b`. */
  public readonly id: string;

  /** Other names that a shipped one is found by, its Hugging Face name among them. */
  public readonly aliases: string[];

  /** Where the dimensions come from. */
  public readonly source: string;

  private readonly given?: ArchitectureSpec;
  private computed?: ArchitectureSpec;

  private constructor(id: string, source: string, given?: ArchitectureSpec) {
    this.id = id;
    this.aliases = given === undefined ? [...MODELS[id].aliases] : [];
    this.source = source;
    this.given = given;
  }

  /** Dimensions and counts. */
  public get spec(): ArchitectureSpec {
    // a shipped one is counted when it is first asked for: an app loads all of them and serves one
    this.computed ??= this.given ?? architectureOf(MODELS[this.id].dimensions);
    return this.computed;
  }

  /**
   * Bytes of all weights if every one is stored in that format. A checkpoint that keeps embeddings or attention in bf16 is somewhat larger.
   *
   * Throws a `ProblemsError` if there is no such format.
   *
   * @param precision a format such as `bf16`, see `Precision`.
   */
  public weightBytes(precision: string): number {
    return this.spec.parameters * Precision.bytesPerElement(precision);
  }

  /**
   * Bytes that one token adds to the KV cache of its sequence, as long as no window is full.
   *
   * Throws a `ProblemsError` if there is no such format.
   *
   * @param precision a format such as `bf16`, see `Precision`.
   */
  public kvBytesPerToken(precision: string): number {
    return (this.spec.kvElementsPerTokenFull + this.spec.kvElementsPerTokenWindowed) * Precision.bytesPerElement(precision);
  }

  /**
   * Bytes of the KV cache of one sequence: windowed layers keep no more than their window, linear-attention layers keep a state of fixed size.
   *
   * Throws a `ProblemsError` if there is no such format or the count is not a number of tokens.
   *
   * @param tokens tokens of the sequence, 0 or more.
   * @param precision a format such as `bf16`, see `Precision`.
   */
  public kvBytesForContext(tokens: number, precision: string): number {
    if (!(tokens >= 0 && tokens < Infinity)) {
      throw new ProblemsError([{
        rule: 'ContextNotACount', path: 'tokens', value: String(tokens), message: 'this is not a number of tokens', mend: 'give a finite number, 0 or more',
      }]);
    }
    const windowed = Math.min(tokens, this.spec.windowTokens ?? tokens);
    const elements = this.spec.kvElementsPerTokenFull * tokens + this.spec.kvElementsPerTokenWindowed * windowed;
    return elements * Precision.bytesPerElement(precision) + (this.spec.linearStateBytesPerSequence ?? 0);
  }

  /** The model as a deployment spec carries it: the id alone if it is shipped. */
  public toSpec(): ModelSpec {
    return this.given ? { id: this.id, architecture: this.given } : { id: this.id };
  }
}

const BY_NAME = new Map(
  ModelArchitecture.all().flatMap((model) => [model.id, ...model.aliases].map((name) => [name.toLowerCase(), model])),
);
