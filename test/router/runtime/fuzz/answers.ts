/** An answer as a caller got it. */
export interface Answered {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly body: Buffer;
}

/** Statuses that a request can be answered with while engines are up and do as they should. */
const STATUSES = new Set([200, 400, 401, 403, 404, 405, 408, 413, 415, 417, 429, 431]);

/** What is wrong with an answer; undefined if it is as documented. */
export function complaintAbout(method: string, path: string, { status, headers, body }: Answered): string | undefined {
  const text = body.toString('utf8');
  if (!STATUSES.has(status)) {
    return `status ${status}: ${text.slice(0, 200)}`;
  }
  // HTTP's own refusals come before any API's.
  if (method === 'HEAD' || (status === 431 && text === '')) {
    return undefined;
  }
  return status === 200 ? complaintAboutSuccess(path.split('?')[0], String(headers['content-type']), body) : complaintAboutError(path, status, headers, text);
}

function complaintAboutError(path: string, status: number, headers: Answered['headers'], text: string): string | undefined {
  const told = parsed(text);
  if (path.startsWith('/model/')) {
    return typeof told?.message === 'string' && /^[A-Z]\w+Exception$/.test(String(headers['x-amzn-errortype'])) && headers['x-amzn-requestid'] !== undefined
      ? undefined : `${status} is no exception of Bedrock's: ${text.slice(0, 200)}`;
  }
  const { message, type, code } = told?.error ?? {};
  return typeof message === 'string' && typeof type === 'string' && code !== undefined ? undefined : `${status} is no error of OpenAI's: ${text.slice(0, 200)}`;
}

function complaintAboutSuccess(path: string, type: string, body: Buffer): string | undefined {
  const text = body.toString('utf8');
  if (type.startsWith('text/event-stream')) {
    return text.endsWith('data: [DONE]\n\n') || text.includes('event: response.completed') ? undefined : `a stream has no end: ${text.slice(-200)}`;
  }
  if (type === 'application/vnd.amazon.eventstream') {
    const last = lastFrame(body);
    return last !== undefined && /metadata|invocationMetrics/.test(path.includes('/invoke') ? decoded(last) : last.toString('latin1'))
      ? undefined : 'an event stream has no end';
  }
  if (path === '/metrics') {
    return undefined;
  }
  return parsed(text) === undefined ? `200 is no JSON: ${text.slice(0, 200)}` : undefined;
}

/** The last message of an event stream; undefined where one is not whole. */
function lastFrame(body: Buffer): Buffer | undefined {
  let last: Buffer | undefined;
  for (let at = 0; at < body.length; at += last.length) {
    const length = at + 4 <= body.length ? body.readUInt32BE(at) : 0;
    if (length < 16 || at + length > body.length) {
      return undefined;
    }
    last = body.subarray(at, at + length);
  }
  return last;
}

function decoded(frame: Buffer): string {
  return Buffer.from(/"bytes":"([^"]*)"/.exec(frame.toString('latin1'))?.[1] ?? '', 'base64').toString();
}

function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
