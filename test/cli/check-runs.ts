import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliProcess, ROOT, Run } from './cli-process';

export const EXAMPLE = readFileSync(join(ROOT, 'examples/templates/efa-group.yaml'), 'utf8');
export const BROKEN = EXAMPLE.replace('InterfaceType: efa', 'InterfaceType: efa-only');
export const ONE_RULE = ['--rule', 'EfaOnlyPrimary'];

/** The command line, and a folder that each test of who imports this has for itself. */
export let cli: CliProcess;
export let folder: string;

beforeAll(() => {
  cli = new CliProcess();
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'check-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

export function run(...args: string[]): Run {
  return cli.run(['check', ...args], undefined, folder);
}

export function write(name: string, content: string | Buffer | object): string {
  writeFileSync(join(folder, name), typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content, undefined, 1));
  return name;
}

export function launchTemplate(interfaceType: unknown) {
  return { Type: 'AWS::EC2::LaunchTemplate', Properties: { LaunchTemplateData: { NetworkInterfaces: [{ DeviceIndex: 0, InterfaceType: interfaceType }] } } };
}

export const MEND = 'make the primary interface "interface" or "efa"';
