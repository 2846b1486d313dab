import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { MODEL } from './engine-pair';
import { KEY } from '../router/runtime/harness';

const VENV = join(__dirname, '../../.venv-engines/bin/python');

/** What boto3 shows of an answer. */
export interface BotoAnswer {
  readonly text: string;
}

/** Asks with boto3; botocore's own validator has checked the shape of every answer. */
export async function boto3(url: string, operation: string, text: string, tokens: number): Promise<BotoAnswer> {
  const child = spawn(VENV, [join(__dirname, 'boto_client.py'), operation, MODEL, String(tokens)], {
    env: { ...process.env, AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url, AWS_BEARER_TOKEN_BEDROCK: KEY, AWS_DEFAULT_REGION: 'us-east-2' },
  });
  child.stdin.end(text);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk) => out.push(chunk));
  child.stderr.on('data', (chunk) => err.push(chunk));
  const status = await new Promise((resolve) => child.once('close', resolve));
  if (status !== 0) {
    throw new Error(Buffer.concat(err).toString());
  }
  return JSON.parse(Buffer.concat(out).toString());
}
