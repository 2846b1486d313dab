import { invalid } from './api-error';
import { isObject } from './fields';

/**
 * Refuses messages with pictures, videos or sounds at an address: an engine would fetch it, from wherever it can reach. Data URLs carry theirs with them.
 *
 * Throws ApiError that names the first one.
 *
 * @param messages in OpenAI's format.
 * @param path of the messages in the request.
 */
export function refuseRemoteMedia(messages: readonly unknown[], path: string): void {
  messages.forEach((message, i) => {
    const content = isObject(message) ? message.content : undefined;
    (Array.isArray(content) ? content : []).forEach((part: unknown, j) => {
      for (const [name, value] of Object.entries(isObject(part) ? part : {})) {
        const url = name.endsWith('_url') ? isObject(value) ? value.url : value : undefined;
        if (url !== undefined && !(typeof url === 'string' && /^data:/i.test(url))) {
          const field = `${path}[${i}].content[${j}].${name}`;
          throw invalid('remote_media_refused', `${field} is not a data URL: nothing is fetched for callers`, field);
        }
      }
    });
  });
}
