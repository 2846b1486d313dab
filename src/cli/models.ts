import { ModelArchitecture, Precision } from '../model';
import { number, table } from './text-table';

/** A shipped model, for who looks for its id. */
export interface ListedModel {
  readonly id: string;
  readonly aliases: string[];
  readonly parameters: number;
  readonly activeParameters: number;
  readonly maxContextTokens: number;
  /** With keys and values in bf16, as long as no window is full. */
  readonly kvBytesPerToken: number;
  readonly source: string;
}

/** Every model that a deployment spec can name by its id. */
export function listedModels(): ListedModel[] {
  return ModelArchitecture.all().map((model) => ({
    id: model.id,
    aliases: model.aliases,
    parameters: model.spec.parameters,
    activeParameters: model.spec.activeParameters,
    maxContextTokens: model.spec.maxContextTokens,
    kvBytesPerToken: model.kvBytesPerToken(Precision.BF16),
    source: model.source,
  }));
}

/** The models as text for a terminal. */
export function modelsText(models: readonly ListedModel[]): string {
  const billions = (count: number) => number(count / 1e9);
  return table([
    ['model.id', 'parameters, 1e9', 'active, 1e9', 'context, tokens', 'KV bytes per token', 'or by the name'],
    ...models.map(({ id, parameters, activeParameters, maxContextTokens, kvBytesPerToken, aliases: [name] }) => (
      [id, billions(parameters), billions(activeParameters), String(maxContextTokens), String(kvBytesPerToken), name ?? ''])),
  ], 1, 5);
}
