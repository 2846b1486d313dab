import { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** Far more than are new at one moment, and far fewer than a process may have open. */
const MOST = 1_000;
/** How long one may be silent, however many there are: callers who all connect at once are kept waiting by each other. */
const PATIENCE_MILLIS = 2_000;

/**
 * Connections on which no caller has said a word yet, under TLS one that could be read. Each takes a descriptor and costs its caller nothing: where there are too
 * many, the one that has been silent for longest is cut for a new one.
 */
export class SilentConnections {
  /** By what they and TLS over them have in common; the oldest first. */
  private readonly byPeer = new Map<string, { readonly socket: Socket; readonly sinceMillis: number }>();

  /** Takes a new connection. */
  public add(socket: Socket): void {
    const peer = peerOf(socket);
    const sinceMillis = performance.now();
    this.byPeer.set(peer, { socket, sinceMillis });
    socket.once('close', () => {
      if (this.byPeer.get(peer)?.socket === socket) {
        this.byPeer.delete(peer);
      }
    });
    const [[oldest, silent]] = this.byPeer;
    if (this.byPeer.size > MOST && sinceMillis - silent.sinceMillis > PATIENCE_MILLIS) {
      this.byPeer.delete(oldest);
      silent.socket.destroy();
    }
  }

  /**
   * Forgets one that is silent no more.
   *
   * @param socket the connection, or TLS over it.
   */
  public spoke(socket: Socket): void {
    this.byPeer.delete(peerOf(socket));
  }
}

function peerOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
