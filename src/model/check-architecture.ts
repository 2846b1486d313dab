import { Problem, Problems } from '../problems';
import { ArchitectureSpec, ModelSpec } from './model-spec';

const POSITIVE_INTEGERS: readonly (keyof ArchitectureSpec)[] = [
  'layers', 'hiddenSize', 'attentionHeads', 'kvHeads', 'headDim', 'vocabSize', 'maxContextTokens', 'parameters', 'activeParameters',
];
const COUNTS: readonly (keyof ArchitectureSpec)[] = [
  'kvElementsPerTokenFull', 'kvElementsPerTokenWindowed', 'fullAttentionLayers', 'windowAttentionLayers', 'attentionFlopsPerTokenPair',
];
const OPTIONAL_COUNTS: readonly (keyof ArchitectureSpec)[] = [
  'windowTokens', 'windowedAttentionFlopsPerTokenPair', 'decodeAttentionFlopsPerTokenPair', 'sparseAttentionTokens', 'sparseIndexFlopsPerTokenPair',
  'linearStateBytesPerSequence',
];

/**
 * Refuses an architecture that was given in full and is not one.
 *
 * Throws a `ProblemsError` with everything that is wrong with it.
 */
export function checkArchitecture(spec: ModelSpec): void {
  const problems: Problem[] = [];
  const refuse = (key: string, value: unknown, message: string, mend: string) => {
    problems.push({ rule: 'ArchitectureInvalid', path: `model.${key}`, value: textOf(value), message, mend });
  };
  if (typeof spec.id !== 'string' || spec.id === '') {
    refuse('id', spec.id, 'a model needs a name', 'give any text that is not empty');
  }
  const architecture = spec.architecture as ArchitectureSpec;
  if (typeof architecture !== 'object' || architecture === null || Array.isArray(architecture)) {
    refuse('architecture', architecture, 'an architecture is an object', 'give its dimensions, or leave it out for a shipped model');
    Problems.throwIfAny(problems);
  }

  for (const key of POSITIVE_INTEGERS) {
    if (!isCount(architecture[key]) || architecture[key] === 0) {
      refuse(`architecture.${key}`, architecture[key], 'this is not a count above 0', 'give a whole number above 0');
    }
  }
  for (const key of [...COUNTS, ...OPTIONAL_COUNTS.filter((optional) => architecture[optional] !== undefined)]) {
    if (!isCount(architecture[key])) {
      refuse(`architecture.${key}`, architecture[key], 'this is not a count', 'give a whole number, 0 or more');
    }
  }
  if (typeof architecture.latentAttention !== 'boolean') {
    refuse('architecture.latentAttention', architecture.latentAttention, 'this is neither true nor false', 'give true for latent attention (MLA), else false');
  }
  if (architecture.windowKind !== undefined && architecture.windowKind !== 'sliding' && architecture.windowKind !== 'chunked') {
    refuse('architecture.windowKind', architecture.windowKind, 'there is no window of this kind', 'use sliding or chunked');
  }
  if (architecture.moe !== undefined) {
    checkExperts(architecture, refuse);
  }
  // contradictions are judged between good numbers only, so that one slip is one problem
  if (problems.length === 0) {
    checkContradictions(architecture, refuse);
  }
  Problems.throwIfAny(problems);
}

type Refuse = (key: string, value: unknown, message: string, mend: string) => void;

function checkExperts(architecture: ArchitectureSpec, refuse: Refuse): void {
  const moe = architecture.moe;
  if (typeof moe !== 'object' || moe === null) {
    refuse('architecture.moe', moe, 'the experts are an object', 'give experts, expertsPerToken, parametersPerExpert and layers');
    return;
  }
  for (const key of ['experts', 'expertsPerToken', 'parametersPerExpert', 'layers'] as const) {
    if (!isCount(moe[key]) || moe[key] === 0) {
      refuse(`architecture.moe.${key}`, moe[key], 'this is not a count above 0', 'give a whole number above 0');
    }
  }
}

function checkContradictions(architecture: ArchitectureSpec, refuse: Refuse): void {
  const { layers, moe } = architecture;
  if (architecture.attentionHeads % architecture.kvHeads !== 0) {
    refuse('architecture.kvHeads', architecture.kvHeads, `${architecture.attentionHeads} attention heads cannot share them evenly`,
      'give a divisor of attentionHeads');
  }
  if (architecture.activeParameters > architecture.parameters) {
    refuse('architecture.activeParameters', architecture.activeParameters, 'these are more than all parameters', 'give at most parameters');
  }
  if (architecture.fullAttentionLayers + architecture.windowAttentionLayers > layers) {
    refuse('architecture.fullAttentionLayers', architecture.fullAttentionLayers,
      `with ${architecture.windowAttentionLayers} windowed layers these are more than ${layers} layers`,
      'let fullAttentionLayers and windowAttentionLayers sum to at most layers');
  }
  if (architecture.windowAttentionLayers > 0 && !architecture.windowTokens) {
    refuse('architecture.windowTokens', architecture.windowTokens, 'windowed layers need a window', 'give the tokens that a windowed layer sees');
  }
  if ((architecture.kvElementsPerTokenFull > 0) !== (architecture.fullAttentionLayers > 0)) {
    refuse('architecture.kvElementsPerTokenFull', architecture.kvElementsPerTokenFull,
      `this contradicts ${architecture.fullAttentionLayers} full-attention layers`, 'give the elements that these layers cache together');
  }
  if ((architecture.kvElementsPerTokenWindowed > 0) !== (architecture.windowAttentionLayers > 0)) {
    refuse('architecture.kvElementsPerTokenWindowed', architecture.kvElementsPerTokenWindowed,
      `this contradicts ${architecture.windowAttentionLayers} windowed layers`, 'give the elements that these layers cache together');
  }
  if (moe && moe.expertsPerToken > moe.experts) {
    refuse('architecture.moe.expertsPerToken', moe.expertsPerToken, `there are only ${moe.experts} experts`, 'give at most experts');
  }
  if (moe && moe.layers > layers) {
    refuse('architecture.moe.layers', moe.layers, `there are only ${layers} layers`, 'give at most layers');
  }
  if (moe && moe.experts * moe.parametersPerExpert * moe.layers > architecture.parameters) {
    refuse('architecture.moe.parametersPerExpert', moe.parametersPerExpert, 'the experts have more parameters than the model',
      'give the parameters of one expert in one layer');
  }
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

// JSON knows no NaN, Infinity or undefined
function textOf(value: unknown): string | undefined {
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}
