import { join } from 'node:path';
import { MODEL } from './engine-pair';
import { PythonClient } from '../conformance/clients/python-client';
import { KEY } from '../router/runtime/harness';

const PYTHON = join(__dirname, '../../.venv-engines/bin/python');

type Operation = 'Converse' | 'ConverseStream' | 'InvokeModel' | 'InvokeModelWithResponseStream';

/** The text of an answer that boto3 asked for; botocore's own validator has checked its shape. */
export async function boto3(url: string, operation: Operation, text: string, tokens: number): Promise<string> {
  const client = PythonClient.start(PYTHON, 'boto_client.py', {
    AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url, AWS_BEARER_TOKEN_BEDROCK: KEY, AWS_DEFAULT_REGION: 'us-east-2',
  });
  const asked = operation.startsWith('Converse')
    ? {
      messages: [{ role: 'user', content: [{ text }] }],
      inferenceConfig: { maxTokens: tokens, temperature: 0 },
      additionalModelRequestFields: { ignore_eos: true },
    }
    : { body: JSON.stringify({ messages: [{ role: 'user', content: text }], max_tokens: tokens, temperature: 0, ignore_eos: true }) };
  const { output, error, message } = await client.ask({ operation, input: { modelId: MODEL, ...asked } });
  await client.stop();
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
