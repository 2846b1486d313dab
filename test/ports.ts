import { createServer } from 'node:net';

/** Below the ports that systems give to outgoing connections (Linux from 32768, others from 49152), above those of well-known services. */
const [FIRST, LAST] = [10_240, 32_767];

/**
 * TCP ports of 127.0.0.1 that nobody listens on. A server that starts minutes later finds them free still: no system gives them to a connection meanwhile.
 *
 * @param count how many, all different.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if (await isFree(port)) {
      ports.add(port);
    }
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
