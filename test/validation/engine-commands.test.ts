import { checkTemplates } from '../../src/validation/check-templates';
import { Unknown } from '../../src/validation/graph/template-graph';
import { ENGINE_RULES } from '../../src/validation/rules/engine';
import { shellCommands } from '../../src/validation/views/shell-words';

const OWN = new Set(ENGINE_RULES.map(({ id }) => id));
const IMAGE = 'public.ecr.aws/neuron/pytorch-inference-vllm-neuronx:0.16.0-neuronx-py312-sdk2.29.0-ubuntu24.04';
const BROKEN = '{"kv_connector":"NixlConnector","kv_role":"kv_reader"}';
const WHOLE = '{"kv_connector":"NixlConnector","kv_role":"kv_producer"}';

function outcomes(...containers: object[]): { found: string[]; unchecked: string[] } {
  const Resources = Object.fromEntries(containers.map((container, index) => [`Task${index}`, {
    Type: 'AWS::ECS::TaskDefinition', Properties: { ContainerDefinitions: [{ Name: 'engine', Image: IMAGE, ...container }] },
  }]));
  const { findings, unchecked } = checkTemplates([{ stack: 'Stack', template: { Parameters: { Text: { Type: 'String' } }, Resources } }]);
  const own = (list: readonly { rule: { id: string } }[]) => [...new Set(list.map(({ rule }) => rule.id).filter((id) => OWN.has(id)))];
  return { found: own(findings), unchecked: own(unchecked) };
}

const INVALID = { found: ['KvTransferConfigInvalid'], unchecked: [] };
const UNKNOWN = { found: [], unchecked: ['KvTransferConfigInvalid'] };
const FINE = { found: [], unchecked: [] };

test.each<[string, object, object]>([
  ['a command', { Command: ['vllm', 'serve', '/model', '--kv-transfer-config', BROKEN] }, INVALID],
  ['an entry point', { EntryPoint: ['vllm', 'serve'], Command: ['/model', `--kv-transfer-config=${BROKEN}`] }, INVALID],
  ['a module', { Command: ['python3', '-m', 'vllm.entrypoints.openai.api_server', '--kv_transfer_config', BROKEN] }, INVALID],
  ['arguments of the image of vLLM', { Image: 'vllm/vllm-openai:v0.32.0', Command: ['--model', '/model', '--kv-transfer-config', BROKEN] }, INVALID],
  ['arguments of another image', { Command: ['--model', '/model', '--kv-transfer-config', BROKEN] }, FINE],
  ['arguments of the image of vLLM after another entry point', { Image: 'vllm/vllm-openai', EntryPoint: ['sleep'], Command: ['--kv-transfer-config', BROKEN] }, FINE],
  ['a field as an option', { Command: ['vllm', 'serve', '/model', '--kv-transfer-config.kv_connector', 'NixlConnector', '--kv-transfer-config.kv_role=kv_reader'] }, INVALID],
  ['fields that are in order', { Command: ['vllm', 'serve', '/model', '--kv-transfer-config.kv_connector=NixlConnector', '--kv-transfer-config.kv_role=kv_both'] }, FINE],
  ['a field that is not known', { Command: ['vllm', 'serve', '/model', '--kv-transfer-config.kv_connector=NixlConnector', '--kv-transfer-config.kv_role', { Ref: 'Text' }] }, UNKNOWN],
  ['a shell', { Command: ['sh', '-c', `vllm serve /model --kv-transfer-config '${BROKEN}'`] }, INVALID],
  ['a shell that does something before', { EntryPoint: ['/bin/bash', '-lc'], Command: [`source /opt/env.sh && exec vllm serve /model \\\n  --kv-transfer-config '${BROKEN}'`] }, INVALID],
  ['a shell with a variable', { Command: ['sh', '-c', 'vllm serve /model --kv-transfer-config "$CONFIG"'] }, UNKNOWN],
  ['a shell with a variable elsewhere', { Command: ['sh', '-c', `vllm serve $MODEL --kv-transfer-config '${WHOLE}'`] }, FINE],
  ['a shell that runs its arguments', { EntryPoint: ['/bin/sh', '-c', 'exec "$@"', '--', 'vllm', 'serve', '/model'], Command: ['--kv-transfer-config', BROKEN] }, INVALID],
  ['a shell that starts something else', { Command: ['sh', '-c', `echo '${BROKEN}'`] }, FINE],
])('an engine by %s', (_, container, expected) => {
  expect(outcomes(container)).toEqual(expected);
});

describe('two engines', () => {
  const engine = (model: string, role: string, connector = 'NixlConnector') => ({
    Command: ['vllm', 'serve', model, '--served-model-name', 'chat', '--kv-transfer-config', JSON.stringify({ kv_connector: connector, kv_role: role })],
  });
  test.each([
    ['two models under one name', 'meta-llama/Llama-3.1-8B', 'meta-llama/Llama-3.1-70B', 'NixlConnector', ['KvPeersModelsDiffer']],
    ['two paths under one name', '/models/a', '/models/b', 'NixlConnector', ['KvPeersModelsDiffer']],
    ['one model', '/model', '/model', 'NixlConnector', []],
    ['two stores', 's3://a/model', 's3://b/model', 'NixlConnector', []],
    ['two paths for a connector that does not compare them', '/models/a', '/models/b', 'MooncakeConnector', []],
  ])('with %s', (_, producer, consumer, connector, expected) => {
    expect(outcomes(engine(producer, 'kv_producer', connector), engine(consumer, 'kv_consumer', connector)).found).toEqual(expected);
  });
});

test.each<[string, (string | undefined)[][]]>([
  ['', []],
  ['  a  b\tc ', [['a', 'b', 'c']]],
  ['a "b c" \'d "e"\' f"g"h', [['a', 'b c', 'd "e"', 'fgh']]],
  ['a; b && c || d | e & f\ng', [['a'], ['b'], ['c'], ['d'], ['e'], ['f'], ['g']]],
  ['a $B "c $D" `e` f$(g h) i', [['a', undefined, undefined, undefined, undefined, undefined, 'i']]],
  ['a "b \\" c" d\\ e f', [['a', undefined, undefined, 'f']]],
  ['a "open', [['a', undefined]]],
  ['a > b', [['a', undefined, 'b']]],
])('words of %j', (script, expected) => {
  expect(shellCommands(script).map((words) => words.map((word) => word instanceof Unknown ? undefined : word))).toEqual(expected);
});
