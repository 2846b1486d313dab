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
/** What is no text in a part of a message, by its type, or by a member of that name, which engines read in parts of other types too. */
const MEDIA: readonly (readonly [name: string, media: string])[] = [
  ['image_url', 'images'], ['input_image', 'images'], ['video_url', 'video'], ['audio_url', 'audio'], ['input_audio', 'audio'],
];
/** Characters of base64 that hold the longest signature. */
const SIGNATURE_LENGTH = 16;

/** What the data URL of an image begins with, as engines read it. */
const DATA_URL = /^data:image\/([a-z]{1,16})(?:;[\w.=-]{1,64})*;base64,/i;

/** What is wrong with an image of one of some formats, as far as can be seen at once; undefined if nothing is. */
export function imageProblem(base64: string, formats: readonly string[]): string | undefined {
  if (!isBase64(base64)) {
    return 'expected base64';
  }
  const start = Buffer.from(base64.slice(0, SIGNATURE_LENGTH), 'base64').toString('latin1');
  return formats.some((format) => IMAGE_SIGNATURES[format].test(start)) ? undefined : `these are not the bytes of an image in format ${formats.join(', ')}`;
}

/** What is wrong with what is to be the data URL of an image; undefined if nothing is. Engines read its format from its bytes, whichever it names. */
export function dataUrlProblem(url: unknown): string | undefined {
  const text = typeof url === 'string' ? url : '';
  const [beginning = '', format = ''] = DATA_URL.exec(text) ?? [];
  const isKnown = IMAGE_FORMATS.includes(format.toLowerCase().replace('jpg', 'jpeg'));
  return isKnown ? imageProblem(text.slice(beginning.length), IMAGE_FORMATS) : `expected data:image/...;base64, of ${IMAGE_FORMATS.join(', ')}`;
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
      if (url !== undefined && !isDataUrl(url)) {
        const field = `${at}.${name}`;
        throw invalid('remote_media_refused', `${field} is not a data URL: nothing is fetched for callers`, field);
      }
    }
  });
}

/**
 * Notes the images and sounds among messages that are none, or in no format that engines read, and those and videos for a model that reads text alone.
 *
 * @param messages in OpenAI's format.
 * @param path of the messages in the request.
 * @param images whether the model reads images; where it does, its engine knows what else it reads.
 * @param problems where to note them.
 */
export function checkMedia(messages: readonly unknown[], path: string, images: boolean, problems: FieldProblems): void {
  eachPart(messages, path, (part, at) => {
    if (!images) {
      const [, media] = MEDIA.find(([name]) => part.type === name || (part[name] ?? null) !== null) ?? [];
      if (media !== undefined) {
        problems.add(at, `the model reads no ${media}`);
      }
      return;
    }
    const { image_url: image, input_audio: audio } = part;
    const url = isObject(image) ? image.url : image;
    const problem = isDataUrl(url) ? dataUrlProblem(url) : undefined;
    if (problem !== undefined) {
      problems.add(`${at}.image_url${isObject(image) ? '.url' : ''}`, problem);
    }
    if (isObject(audio) && typeof audio.data === 'string' && !isBase64(audio.data)) {
      problems.add(`${at}.input_audio.data`, 'expected base64');
    }
  });
}

function isDataUrl(url: unknown): boolean {
  return typeof url === 'string' && /^data:/i.test(url);
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
