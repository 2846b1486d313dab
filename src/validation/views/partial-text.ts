import { HOLE, Unknown, Value, textParts } from '../graph/template-graph';

/** What a pseudo parameter stands for where it is not known: certainly not empty, and without a colon. */
const PSEUDO_PARAMETERS: { readonly [name: string]: string } = {
  'AWS::AccountId': '<account>',
  'AWS::Partition': '<partition>',
  'AWS::Region': '<region>',
};

/**
 * The text of a value as far as it is certain, such as `arn:<partition>:bedrock:us-east-2::foundation-model/` and a `HOLE` for a parameter.
 *
 * @param value the value; of `Fn::Base64`, the text that is encoded.
 * @returns undefined where nothing of the text is known.
 */
export function partialText(value: Value | undefined): string | undefined {
  if (value instanceof Unknown && value.facts.decoded !== undefined) {
    return partialText(value.facts.decoded);
  }
  const text = (textParts(value) ?? [value]).map(pieceText).join('');
  return text === HOLE ? undefined : text;
}

/** What of a text is certain, without the pieces that are not. */
export function withoutHoles(text: string): string {
  return Object.values(PSEUDO_PARAMETERS).reduce((rest, name) => rest.replaceAll(name, ''), text.replaceAll(HOLE, ''));
}

/** True where a piece of the text is unknown. */
export function hasHole(text: string): boolean {
  return text.includes(HOLE);
}

function pieceText(piece: Value | undefined): string {
  const name = piece instanceof Unknown ? piece.facts.pseudoParameter : undefined;
  return typeof piece === 'string' ? piece : name !== undefined && Object.hasOwn(PSEUDO_PARAMETERS, name) ? PSEUDO_PARAMETERS[name] : HOLE;
}
