import { IncomingHttpHeaders } from 'node:http';
import { FieldProblems } from './fields';

/** Headers with which callers of InvokeModel and of OpenAI's API choose a guardrail of Bedrock's, as Converse's `guardrailConfig` does. */
const GUARDRAIL = ['x-amzn-bedrock-guardrailidentifier', 'x-amzn-bedrock-guardrailversion'];

/** Notes the headers that choose a guardrail: engines have none, and an answer without one must not pass for one that it has seen. */
export function checkGuardrail(headers: IncomingHttpHeaders, problems: FieldProblems): void {
  GUARDRAIL.filter((name) => headers[name] !== undefined).forEach((name) => problems.add(name, 'this is not supported here'));
}
