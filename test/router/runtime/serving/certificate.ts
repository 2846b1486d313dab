import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A piece of DER: its tag, its length, and what is in it. */
function der(tag: number, ...parts: (Buffer | string | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as Buffer)));
  const length = body.length < 0x80 ? [body.length]
    : body.length < 0x100 ? [0x81, body.length] : [0x82, Math.floor(body.length / 0x100), body.length % 0x100];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));

/** Writes a new certificate of `localhost` and 127.0.0.1, signed by itself, and its key (RFC 5280). */
export function localCertificate(): { readonly certificateFile: string; readonly keyFile: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(oid('2a8648ce3d040302'));
  const name = sequence(der(0x31, sequence(oid('550403'), der(0x0c, 'localhost'))));
  const names = sequence(oid('551d11'), der(0x04, sequence(der(0x82, 'localhost'), der(0x87, [127, 0, 0, 1]))));
  const authority = sequence(oid('551d13'), der(0x01, [0xff]), der(0x04, sequence(der(0x01, [0xff]))));
  const toSign = sequence(
    der(0xa0, der(0x02, [2])), der(0x02, [1]), algorithm, name, sequence(der(0x17, '200101000000Z'), der(0x18, '99991231235959Z')), name,
    publicKey.export({ type: 'spki', format: 'der' }), der(0xa3, sequence(names, authority)),
  );
  const certificate = sequence(toSign, algorithm, der(0x03, [0], sign('sha256', toSign, privateKey)));
  const folder = mkdtempSync(join(tmpdir(), 'certificate-'));
  const files = { certificateFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
  writeFileSync(files.certificateFile, `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64').replace(/.{64}/g, '$&\n').trim()}\n-----END CERTIFICATE-----\n`);
  writeFileSync(files.keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return files;
}
