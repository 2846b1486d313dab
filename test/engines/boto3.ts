import { PYTHON } from './engine';
import { MODEL } from './engine-pair';
import { PythonClient } from '../conformance/clients/python-client';
import { KEY } from '../router/runtime/harness';

export const OPERATIONS = ['Converse', 'ConverseStream', 'InvokeModel', 'InvokeModelWithResponseStream'] as const;

/** boto3 in a process of its own, which asks one router for greedy answers. */
export class Boto3 {
  private readonly client: PythonClient;

  constructor(url: string) {
    this.client = PythonClient.start(PYTHON, 'boto_client.py', {
      AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url, AWS_BEARER_TOKEN_BEDROCK: KEY, AWS_DEFAULT_REGION: 'us-east-2',
    });
  }

  /** The text of an answer; botocore's own validator has checked its shape. */
  public async ask(operation: typeof OPERATIONS[number], text: string, tokens: number): Promise<string> {
    const asked = operation.startsWith('Converse')
      ? {
        messages: [{ role: 'user', content: [{ text }] }],
        inferenceConfig: { maxTokens: tokens, temperature: 0 },
        additionalModelRequestFields: { ignore_eos: true },
      }
      : { body: JSON.stringify({ messages: [{ role: 'user', content: text }], max_tokens: tokens, temperature: 0, ignore_eos: true }) };
    const { output, error, message } = await this.client.ask({ operation, input: { modelId: MODEL, ...asked } });
    if (error !== undefined) {
      throw new Error(`${error}: ${message}`);
    }
    switch (operation) {
      case 'Converse':
        return output.output.message.content.map((block: any) => block.text ?? '').join('');
      case 'ConverseStream':
        return output.map((event: any) => event.contentBlockDelta?.delta.text ?? '').join('');
      case 'InvokeModel':
        return output.choices[0].message.content;
      case 'InvokeModelWithResponseStream':
        return output.map((chunk: any) => chunk.choices?.[0]?.delta.content ?? '').join('');
    }
  }

  public async stop(): Promise<void> {
    await this.client.stop();
  }
}
