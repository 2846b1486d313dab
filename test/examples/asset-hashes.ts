/** Replaces what names a container image's content, so that a snapshot speaks of the infrastructure alone. */
export function maskAssetHashes(template: object): object {
  return JSON.parse(JSON.stringify(template).replace(/[0-9a-f]{64}/g, '<asset-hash>')) as object;
}
