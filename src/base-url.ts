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
