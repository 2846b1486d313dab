import { once } from 'node:events';
import { connect, Socket } from 'node:net';

/** A connection to a router on which any bytes can be sent, and what came back on it so far. */
export class RawConnection {
  /** @param port of the router, on this machine. */
  public static async open(port: number): Promise<RawConnection> {
    const connection = new RawConnection(connect(port, '127.0.0.1'));
    await once(connection.socket, 'connect');
    return connection;
  }

  /** A character a byte. */
  public text = '';
  public isClosed = false;

  private constructor(public readonly socket: Socket) {
    socket.setEncoding('latin1').on('data', (more: string) => (this.text += more)).on('close', () => (this.isClosed = true));
    // a caller that still sends when it is cut off.
    socket.on('error', () => undefined);
  }
}
