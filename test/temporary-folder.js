const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

/** Whatever tests write to the folder for temporary files is in one of this run's own, which goes with it. */
module.exports = () => {
  const folder = mkdtempSync(join(tmpdir(), 'cdk-disaggregated-inference-'));
  process.env.TMPDIR = folder;
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
};
