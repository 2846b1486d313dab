import { createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { Certificate, readCertificate, RouterConfig } from '../config';

type CertificateFiles = NonNullable<RouterConfig['tls']>;

/** How often the files are read. */
const INTERVAL_MILLIS = 5_000;

/**
 * A certificate that is renewed on disk, as cert-manager does it. While what is there cannot be used, the one before stays.
 */
export class CertificateWatch {
  private readonly onRenewed: (certificate: Certificate) => void;
  private readonly log: Logger;
  private readonly timer: NodeJS.Timeout;
  private files: CertificateFiles;
  private current: Certificate;
  private failure?: string;

  /**
   * @param files where it is. Throws if it cannot be read.
   * @param onRenewed takes another.
   * @param log where renewals and failures are told.
   */
  constructor(files: CertificateFiles, onRenewed: (certificate: Certificate) => void, log: Logger) {
    this.files = files;
    this.current = readCertificate(files);
    this.onRenewed = onRenewed;
    this.log = log;
    this.timer = setInterval(() => this.read(this.files), INTERVAL_MILLIS).unref();
  }

  /** The one that is used. */
  public get certificate(): Certificate {
    return this.current;
  }

  /** Reads the files, which may be others from now on. */
  public read(files: CertificateFiles): void {
    this.files = files;
    try {
      const read = readCertificate(files);
      if (!isDeepStrictEqual(read, this.current)) {
        // a certificate and the key of another, as they are halfway through a renewal, do not pass.
        createSecureContext(read);
        this.current = read;
        this.onRenewed(read);
        this.log.info(files, 'the certificate was read anew');
      }
      this.failure = undefined;
    } catch (e) {
      const { message } = e as Error;
      if (message !== this.failure) {
        this.log.error({ ...files, failure: message }, 'the certificate could not be read anew: the one before stays');
      }
      this.failure = message;
    }
  }

  public stop(): void {
    clearInterval(this.timer);
  }
}
