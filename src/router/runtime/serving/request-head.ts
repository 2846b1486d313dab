import { IncomingMessage } from 'node:http';
import { Exchange } from '../exchange';
import { HttpRequest } from './listener';
import { ApiError, invalid } from '../wire/api-error';

/** A host and a port as RFC 3986 has them, without a user. An empty host says that there is none. */
const HOST = /^(?:\[[\da-z:.%_~-]+\]|[\da-z._~%!$&'()*+,;=-]*)(?::\d*)?$/i;

/**
 * Throws ApiError for a head that Node takes and a proxy in front may have read otherwise: what the two disagree on is how requests are smuggled. Nothing more
 * is read from such a caller.
 */
export function checkHead({ request, answer }: Exchange): void {
  const flaw = flawOf(request);
  if (flaw !== undefined) {
    answer.leaveUnread();
    throw flaw;
  }
}

function flawOf(request: HttpRequest): ApiError | undefined {
  const { host, ':authority': authority = host, 'transfer-encoding': coding } = request.headers;
  if (authority !== undefined && !HOST.test(authority as string)) {
    return invalid('invalid_request', 'host: this is no host', 'host');
  }
  if (!(request instanceof IncomingMessage)) {
    return host === undefined || host.toLowerCase() === (authority as string).toLowerCase() ? undefined : invalid('invalid_request', 'host: this is not :authority', 'host');
  }
  const isOld = request.httpVersion === '1.0';
  if (host === undefined && !isOld) {
    return invalid('invalid_request', 'host: this is missing', 'host');
  }
  // Node leaves out all but the first.
  if (request.rawHeaders.filter((name, i) => i % 2 === 0 && name.length === 4 && name.toLowerCase() === 'host').length > 1) {
    return invalid('invalid_request', 'host: give it once', 'host');
  }
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || isOld)) {
    return invalid('invalid_request', 'transfer-encoding: only chunked is taken, and that of HTTP/1.1', 'transfer-encoding');
  }
  return undefined;
}
