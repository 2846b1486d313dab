import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { JsonSyntaxError, parseJson } from '../json-text';
import { Problem, ProblemsError } from '../problems';
import { attempt } from './attempt';
import { ExpectedFile, readText } from './bounded-text';

const MAX_BYTES = 64 * 1024 * 1024;

const MANIFEST: ExpectedFile = { holds: 'the manifest of a cloud assembly', tooLarge: 'give the templates of the assembly one by one' };

const SYNTHESIZE = 'synthesize the app again';

/** Type of the metadata that holds the ids of acknowledged rules: `Validations.ACKNOWLEDGED_RULES_METADATA_KEY` of aws-cdk-lib. */
const ACKNOWLEDGED_RULES = 'aws:cdk:acknowledged-rules';

/** Type of the metadata that holds the logical id of a construct's resource. */
const LOGICAL_ID = 'aws:cdk:logicalId';

/** Type of the metadata that holds the name of a stack's template, nested stacks included. */
const TEMPLATE_FILE = 'aws:cdk:templateFile';

/** A stack of a cloud assembly. */
export interface StackArtifact {
  /** Path of its template. */
  readonly file: string;
  readonly account?: string;
  readonly region?: string;
  readonly acknowledgements: Acknowledgement[];
  /** By the path of the template, those of nested stacks included. */
  readonly constructs: ReadonlyMap<string, TemplateConstructs>;
}

/** Paths of the constructs that a template comes from. */
export interface TemplateConstructs {
  /** Of the stack. */
  readonly stack: string;
  /** Of resources, by their logical ids. */
  readonly resources: ReadonlyMap<string, string>;
  /** Paths of the templates of its nested stacks, by the logical ids of the resources that deploy them. */
  readonly nested: ReadonlyMap<string, string>;
}

/** A rule that is acknowledged for a construct and all that is in it. */
export interface Acknowledgement {
  readonly constructPath: string;
  readonly id: string;
}

/** What a cloud assembly holds. */
export interface Assembly {
  readonly stacks: readonly StackArtifact[];
  /** What of it could not be read. */
  readonly problems: readonly Problem[];
}

/**
 * The stacks of a cloud assembly, `cdk.out`, and of the stages in it.
 *
 * @param directory path of the assembly.
 * @param outer real paths of the assemblies that it is nested in.
 * @throws ProblemsError if it has no manifest, or one that cannot be read.
 */
export function readAssembly(directory: string, outer: readonly string[] = []): Assembly {
  const manifest = join(directory, 'manifest.json');
  if (!existsSync(manifest)) {
    throw refused('AssemblyWithoutManifest', directory, 'the directory is no cloud assembly: it has no manifest.json', 'give the output of "cdk synth", or the template files by name');
  }
  const place = realpathSync(directory);
  if (outer.includes(place)) {
    throw refused('AssemblyNestedInItself', directory, 'the assembly is nested in itself', SYNTHESIZE);
  }
  const stacks: StackArtifact[] = [];
  const problems: Problem[] = [];
  for (const [id, artifact] of artifactsOf(manifest)) {
    attempt(problems, () => {
      const { type, properties } = artifact;
      const [wanted, file] = type === 'cdk:cloud-assembly' ? ['directoryName', properties?.directoryName] as const
        : type === 'aws:cloudformation:stack' ? ['templateFile', properties?.templateFile] as const : [];
      if (wanted === undefined) {
        return;
      }
      if (typeof file !== 'string') {
        throw refused('AssemblyManifestMalformed', manifest, `the artifact ${JSON.stringify(id)} has no ${wanted}`, SYNTHESIZE);
      }
      if (wanted === 'templateFile') {
        stacks.push(stackOf(directory, file, artifact, problems));
      } else {
        const inner = readAssembly(join(directory, file), [...outer, place]);
        stacks.push(...inner.stacks);
        problems.push(...inner.problems);
      }
    });
  }
  // a stage may be empty.
  if (stacks.length === 0 && problems.length === 0 && outer.length === 0) {
    throw refused('AssemblyWithoutStacks', manifest, 'the manifest names no stack', 'give the output of "cdk synth" of an app that has stacks');
  }
  return { stacks, problems };
}

function stackOf(directory: string, file: string, artifact: Artifact, problems: Problem[]): StackArtifact {
  const { environment, metadata: inline, additionalMetadataFile } = artifact;
  // an environment that is not known at synthesis is "aws://unknown-account/unknown-region".
  const [, account, region] = /^aws:\/\/([^/]+)\/([^/]+)$/.exec(typeof environment === 'string' ? environment : '') ?? [];
  const known = (value: string | undefined) => value?.startsWith('unknown-') ? undefined : value;
  let metadata = inline;
  if (typeof additionalMetadataFile === 'string') {
    // the template is checked without it.
    attempt(problems, () => {
      metadata = jsonOf(join(directory, additionalMetadataFile));
    });
  }
  return {
    file: join(directory, file),
    account: known(account),
    region: known(region),
    acknowledgements: acknowledgementsOf(metadata),
    constructs: constructsOf(directory, metadata),
  };
}

interface Metadata {
  readonly [constructPath: string]: readonly ({ readonly type: string; readonly data?: unknown } | null)[];
}

interface Artifact {
  readonly type?: string;
  readonly environment?: unknown;
  readonly properties?: { readonly directoryName?: string; readonly templateFile?: string };
  readonly metadata?: Metadata;
  readonly additionalMetadataFile?: string;
}

function artifactsOf(manifest: string): [string, Artifact][] {
  const parsed: unknown = jsonOf(manifest);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw refused('AssemblyManifestMalformed', manifest, 'the manifest is not a map, so that it names no stack', SYNTHESIZE);
  }
  const { artifacts = {} } = parsed as { artifacts?: { [id: string]: Artifact | null } };
  if (typeof artifacts !== 'object' || artifacts === null || Array.isArray(artifacts)) {
    throw refused('AssemblyManifestMalformed', manifest, '"artifacts" of the manifest is not a map, so that it names no stack', SYNTHESIZE);
  }
  return Object.entries(artifacts).map(([id, artifact]) => [id, artifact ?? {}]);
}

function acknowledgementsOf(metadata: Metadata | null | undefined): Acknowledgement[] {
  return entriesOf(metadata, ACKNOWLEDGED_RULES).flatMap(({ constructPath, data }) => Object.keys(data ?? {}).map((id) => ({ constructPath, id })));
}

function constructsOf(directory: string, metadata: Metadata | null | undefined): Map<string, TemplateConstructs> {
  const stacks = textsOf(metadata, TEMPLATE_FILE).map(({ constructPath, data }) => (
    { stack: constructPath, file: join(directory, data), resources: new Map<string, string>(), nested: new Map<string, string>() }));
  for (const { constructPath, data } of textsOf(metadata, LOGICAL_ID)) {
    // of the innermost of the stacks that it lies within.
    const owner = stacks.filter(({ stack }) => constructPath.startsWith(`${stack}/`)).sort((a, b) => b.stack.length - a.stack.length).at(0);
    owner?.resources.set(data, constructPath);
    // the CDK deploys "Outer/Inner" by "Outer/Inner.NestedStack/Inner.NestedStackResource".
    const nested = stacks.find(({ stack }) => constructPath === `${stack}.NestedStack/${stack.split('/').at(-1)}.NestedStackResource`);
    if (owner && nested) {
      owner.nested.set(data, nested.file);
    }
  }
  return new Map(stacks.map(({ file, ...constructs }) => [file, constructs]));
}

function textsOf(metadata: Metadata | null | undefined, type: string): { readonly constructPath: string; readonly data: string }[] {
  return entriesOf(metadata, type).filter((entry): entry is { constructPath: string; data: string } => typeof entry.data === 'string');
}

function entriesOf(metadata: Metadata | null | undefined, type: string): { readonly constructPath: string; readonly data: unknown }[] {
  return Object.entries(metadata ?? {}).filter(([, entries]) => Array.isArray(entries)).flatMap(([path, entries]) => entries
    .flatMap((entry) => (entry?.type === type ? [{ constructPath: path.replace(/^\//, ''), data: entry.data }] : [])));
}

function jsonOf(file: string): any {
  try {
    return parseJson(readText(file, MAX_BYTES, MANIFEST));
  } catch (error) {
    if (error instanceof JsonSyntaxError) {
      throw refused('AssemblyNotJson', `${file}:${error.line}:${error.column}`, `the file is not JSON: ${error.message}`, SYNTHESIZE);
    }
    throw error;
  }
}

function refused(rule: string, path: string, message: string, mend: string): ProblemsError {
  const problem: Problem = { rule, path, message, mend };
  return new ProblemsError([problem]);
}
