import { Socket } from 'node:net';

/** Far more than are new at one moment, and far fewer than a process may have open. */
const MOST = 1_000;

/**
 * Connections on which no caller has said a word yet, under TLS one that could be read. Each takes a descriptor and costs its caller nothing: where there are too
 * many, the one that has been silent for longest is cut.
 */
export class SilentConnections {
  /** By what they and TLS over them have in common; the oldest first. */
  private readonly byPeer = new Map<string, Socket>();

  /** Takes a new connection. */
  public add(socket: Socket): void {
    const peer = peerOf(socket);
    this.byPeer.set(peer, socket);
    socket.once('close', () => {
      if (this.byPeer.get(peer) === socket) {
        this.byPeer.delete(peer);
      }
    });
    if (this.byPeer.size > MOST) {
      const [[oldest, silent]] = this.byPeer;
      this.byPeer.delete(oldest);
      silent.destroy();
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
