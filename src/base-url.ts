/**
 * Whether a text is the base URL of an HTTP API: a path may follow the host, but no credentials, query or fragment.
 */
export function isBaseUrl(text: string): boolean {
  if (!URL.canParse(text)) {
    return false;
  }
  const url = new URL(text);
  return ['http:', 'https:'].includes(url.protocol) && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

/** Whether a base URL is that of a port on this machine, as far as that can be told; `host` is a further name of the machine. */
export function isUrlOfPort(text: string, port: number, isTls: boolean, host?: string): boolean {
  if (!isBaseUrl(text)) {
    return false;
  }
  const { hostname, port: given, protocol } = new URL(text);
  const isHere = hostname === host || /^(?:localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1?\])$/.test(hostname);
  return isHere && Number(given || (protocol === 'https:' ? 443 : 80)) === port && (protocol === 'https:') === isTls;
}
