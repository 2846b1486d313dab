/**
 * Whether a text is the address of a Valkey server: `valkey://host:port`, or `valkeys://host:port` for TLS, and nothing else.
 */
export function isValkeyUrl(text: string): boolean {
  if (!URL.canParse(text)) {
    return false;
  }
  const { protocol, hostname, username, password, pathname, search, hash } = new URL(text);
  return ['valkey:', 'valkeys:'].includes(protocol) && hostname !== '' && [username, password, search, hash].every((part) => part === '') && ['', '/'].includes(pathname);
}
