import { join } from 'node:path';
import { Ask, Client, Told } from './operations';
import { BEDROCK_ID } from './paths';
import { byChunks, byCompletion, byConverse, byConverseEvents, byInvokedChunks, byResponse, byResponseEvents } from './told';
import { KEY, MODEL } from '../../router/runtime/harness';
import { localCertificate } from '../../router/runtime/serving/certificate';
import { PythonClient } from '../clients/python-client';

/** What the router has for those that send a key over TLS alone. */
export const TLS = localCertificate();
const PYTHON = join(__dirname, '../../../.venv/bin/python');
const chat = (prompt: string) => ({ model: MODEL, messages: [{ role: 'user', content: prompt }] });
const COUNTED = { stream: true, stream_options: { include_usage: true } };

/** An error that a client in Python tells by the name of its class. */
class PythonError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** A client in Python that is started when it is first asked. */
class Process {
  private client?: PythonClient;

  constructor(private readonly script: string, private readonly env: { readonly [name: string]: string }) {}

  public async ask(request: object): Promise<any> {
    this.client ??= PythonClient.start(PYTHON, this.script, this.env);
    const { error, message, ...told } = await this.client.ask(request);
    if (error !== undefined) {
      throw new PythonError(error, message);
    }
    return told;
  }

  public async stop(): Promise<void> {
    await this.client?.stop();
  }
}

const BOTO_PROCESS = new Process('boto_client.py', {
  AWS_BEARER_TOKEN_BEDROCK: KEY, AWS_DEFAULT_REGION: 'us-east-2', AWS_MAX_ATTEMPTS: '1', AWS_CA_BUNDLE: TLS.certificateFile,
});
const OPENAI_PROCESS = new Process('openai_client.py', { OPENAI_API_KEY: KEY });
// its table of prices is on the Internet unless told otherwise.
const LITELLM_PROCESS = new Process('litellm_client.py', { LITELLM_LOCAL_MODEL_COST_MAP: 'True' });

/** Ends what was started. */
export async function stopPython(): Promise<void> {
  await Promise.all([BOTO_PROCESS, OPENAI_PROCESS, LITELLM_PROCESS].map(async (client) => client.stop()));
}

const boto = (operation: string, inputOf: (prompt: string) => object, told: (output: any) => Told | number): Ask => async (url, prompt) => (
  told((await BOTO_PROCESS.ask({ url, operation, input: { modelId: MODEL, ...inputOf(prompt) } })).output));
const converse = (prompt: string) => ({ messages: [{ role: 'user', content: [{ text: prompt }] }] });
const invoke = (prompt: string) => ({ body: JSON.stringify(chat(prompt)) });
const BOTO3: Client = {
  name: 'boto3',
  tls: true,
  asks: {
    Converse: boto('Converse', converse, byConverse),
    ConverseStream: boto('ConverseStream', converse, byConverseEvents),
    InvokeModel: boto('InvokeModel', invoke, byCompletion),
    InvokeModelWithResponseStream: boto('InvokeModelWithResponseStream', invoke, byInvokedChunks),
    CountTokens: boto('CountTokens', (prompt) => ({ input: { converse: converse(prompt) } }), ({ inputTokens }) => inputTokens),
  },
};

const openAi = (api: string, inputOf: (prompt: string) => object, told: (output: any) => Told | string[]): Ask => async (url, prompt) => (
  told((await OPENAI_PROCESS.ask({ url: `${url}/v1`, api, input: inputOf(prompt) })).output));
const OPENAI: Client = {
  name: 'openai for Python',
  asks: {
    'chat': openAi('chat', chat, byCompletion),
    'chat streamed': openAi('chat', (prompt) => ({ ...chat(prompt), ...COUNTED }), byChunks),
    'completions': openAi('completions', (prompt) => ({ model: MODEL, prompt }), byCompletion),
    'completions streamed': openAi('completions', (prompt) => ({ model: MODEL, prompt, ...COUNTED }), byChunks),
    'responses': openAi('responses', (input) => ({ model: MODEL, input }), byResponse),
    'responses streamed': openAi('responses', (input) => ({ model: MODEL, input, stream: true }), byResponseEvents),
    'models': openAi('models', () => ({}), (models) => models.map(({ id }: any) => id)),
  },
};

/** What LiteLLM itself writes around the prompt of an InvokeModel, in the format of Llama. */
const TEMPLATE = /<\|begin_of_text\|>|<\|start_header_id\|>\w+<\|end_header_id\|>\n\n|<\|eot_id\|>/g;
const completed = ({ text, finish, usage }: any): Told => ({ text: text.replace(TEMPLATE, ''), stop: finish, tokens: usage });
const litellm = (asked: (url: string, prompt: string) => object, told: (output: any) => Told): Ask => async (url, prompt) => (
  told(await LITELLM_PROCESS.ask({ api_key: KEY, ...asked(url, prompt) })));
const byBedrock = (model: string, more: object = {}) => litellm(
  (url, prompt) => ({ ...chat(prompt), model, aws_bedrock_runtime_endpoint: url, aws_region_name: 'us-east-2', ...more }), completed);
const LITELLM_BEDROCK: Client = {
  name: 'LiteLLM, bedrock/',
  stop: 'stop',
  // its reader of Llama's streams passes over invocationMetrics: pypi:litellm@1.110.2 llms/bedrock/chat/invoke_handler.py.
  readsNoTokensOf: 'InvokeModelWithResponseStream',
  asks: {
    Converse: byBedrock(`bedrock/converse/${BEDROCK_ID}`),
    ConverseStream: byBedrock(`bedrock/converse/${BEDROCK_ID}`, COUNTED),
    InvokeModel: byBedrock(`bedrock/invoke/${BEDROCK_ID}`),
    InvokeModelWithResponseStream: byBedrock(`bedrock/invoke/${BEDROCK_ID}`, COUNTED),
  },
};

const byOpenAi = (asked: (prompt: string) => object, told: (output: any) => Told, more: object = {}) => litellm(
  (url, prompt) => ({ ...asked(prompt), model: `openai/${MODEL}`, api_base: `${url}/v1`, ...more }), told);
const LITELLM_OPENAI: Client = {
  name: 'LiteLLM, openai/',
  asks: {
    'chat': byOpenAi(chat, completed),
    'chat streamed': byOpenAi(chat, completed, COUNTED),
    'completions': byOpenAi((prompt) => ({ call: 'text_completion', prompt }), ({ output }) => byCompletion(output), { model: `text-completion-openai/${MODEL}` }),
    'completions streamed': byOpenAi((prompt) => ({ call: 'text_completion', prompt }), ({ output }) => byChunks(output),
      { model: `text-completion-openai/${MODEL}`, ...COUNTED }),
    'responses': byOpenAi((input) => ({ call: 'responses', input }), ({ output }) => byResponse(output)),
    'responses streamed': byOpenAi((input) => ({ call: 'responses', input }), ({ output }) => byResponseEvents(output), { stream: true }),
  },
};

export const PYTHON_CLIENTS: readonly Client[] = [BOTO3, OPENAI, LITELLM_BEDROCK, LITELLM_OPENAI];
