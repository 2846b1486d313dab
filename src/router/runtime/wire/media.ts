import { invalid } from './api-error';
import { FieldProblems, Fields, isObject } from './fields';

/** What images begin with, byte by byte, by the formats that engines read. */
const IMAGE_SIGNATURES: { readonly [format: string]: RegExp } = {
  png: /^\x89PNG\r\n\x1a\n/,
  jpeg: /^\xff\xd8\xff/,
  gif: /^GIF8[79]a/,
  webp: /^RIFF.{4}WEBP/s,
};
export const IMAGE_FORMATS = Object.keys(IMAGE_SIGNATURES);
/** Types of the parts of a message that are images. */
const IMAGE_PARTS: readonly unknown[] = ['image_url', 'input_image'];
/** Characters of base64 that hold the longest signature. */
const SIGNATURE_LENGTH = 16;

/** What is wrong with an image, as far as can be seen at once; undefined if nothing is. */
export function imageProblem(format: string, base64: string): string | undefined {
  if (!isBase64(base64)) {
    return 'expected base64';
  }
  const start = Buffer.from(base64.slice(0, SIGNATURE_LENGTH), 'base64').toString('latin1');
  return IMAGE_SIGNATURES[format].test(start) ? undefined : `these are not the bytes of an image in format ${format}`;
}

/** Whether text is base64 of something, or of nothing. Images are long: a search goes once through them. */
export function isBase64(text: string): boolean {
  const end = text.search(/[^A-Za-z0-9+/]/);
  return text.length % 4 === 0 && (end === -1 || ['=', '=='].includes(text.slice(end)));
}

/**
 * Refuses messages with pictures, videos or sounds at an address: an engine would fetch it, from wherever it can reach. Data URLs carry theirs with them.
 *
 * Throws ApiError that names the first one.
 *
 * @param messages in OpenAI's format.
 * @param path of the messages in the request.
 */
export function refuseRemoteMedia(messages: readonly unknown[], path: string): void {
  eachPart(messages, path, (part, at) => {
    for (const [name, value] of Object.entries(part)) {
      const url = name.endsWith('_url') ? isObject(value) ? value.url : value : undefined;
      if (url !== undefined && !(typeof url === 'string' && /^data:/i.test(url))) {
        const field = `${at}.${name}`;
        throw invalid('remote_media_refused', `${field} is not a data URL: nothing is fetched for callers`, field);
      }
    }
  });
}

/**
 * Notes the images among messages for a model that reads none.
 *
 * @param messages in OpenAI's format.
 * @param path of the messages in the request.
 * @param problems where to note them.
 */
export function refuseImages(messages: readonly unknown[], path: string, problems: FieldProblems): void {
  eachPart(messages, path, ({ type }, at) => {
    if (IMAGE_PARTS.includes(type)) {
      problems.add(at, 'the model reads no images');
    }
  });
}

function eachPart(messages: readonly unknown[], path: string, read: (part: Fields, path: string) => void): void {
  messages.forEach((message, i) => {
    const content = isObject(message) ? message.content : undefined;
    (Array.isArray(content) ? content : []).forEach((part: unknown, j) => {
      if (isObject(part)) {
        read(part, `${path}[${i}].content[${j}]`);
      }
    });
  });
}
