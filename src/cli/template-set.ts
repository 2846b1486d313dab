import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Problem, ProblemsError } from '../problems';
import { attempt } from './attempt';
import { STANDARD_INPUT } from './bounded-text';
import { Acknowledgement, readAssembly, TemplateConstructs } from './cloud-assembly';
import { TEMPLATE_EXPECTED } from './parsed-text';
import { TemplateFile } from './template-file';
import { TemplatePlace } from '../validation/acknowledgement';
import { STACK_TYPE } from '../validation/graph/scope';
import { TemplateInput } from '../validation/graph/template-graph';

/** The templates that the command line names, and what was wrong with the others. */
export class TemplateSet {
  /** What could not be read, in the order given. */
  public readonly problems: Problem[] = [];

  private readonly files = new Map<string, TemplateFile>();
  private readonly templates: TemplateInput[] = [];
  private readonly acknowledgements: Acknowledgement[] = [];
  private readonly constructs = new Map<string, TemplateConstructs>();

  /**
   * @param paths files, cloud assemblies, or `-` for standard input.
   * @param region of the stacks that do not say theirs.
   */
  public constructor(paths: readonly string[], region: string | undefined) {
    for (const path of paths) {
      attempt(this.problems, () => {
        if (isDirectory(path)) {
          const { stacks, problems } = readAssembly(path);
          this.problems.push(...problems);
          for (const stack of stacks) {
            this.acknowledgements.push(...stack.acknowledgements);
            stack.constructs.forEach((constructs, file) => this.constructs.set(file, constructs));
            attempt(this.problems, () => this.addStack(stack.file, { account: stack.account, region: stack.region ?? region, ofAssembly: true }));
          }
        } else {
          this.addStack(path, { region, ofAssembly: false });
        }
      });
    }
  }

  /** What the rules read. */
  public get inputs(): readonly TemplateInput[] {
    return this.templates;
  }

  /** Number of files that were read. */
  public get size(): number {
    return new Set(this.files.values()).size;
  }

  /** The file of a stack of `inputs`. */
  public fileOf(stack: string): TemplateFile {
    return this.files.get(stack)!;
  }

  /** Path of the construct of a resource, as the assembly tells it; undefined if it does not. */
  public constructPathOf(stack: string, logicalId: string): string | undefined {
    return this.constructs.get(this.fileOf(stack).name)?.resources.get(logicalId);
  }

  /**
   * Ids that an assembly acknowledges for the construct of a resource, or for its stack where it has none.
   *
   * @param place the resource.
   */
  public acknowledgedAt({ stack, logicalId, constructPath: known }: TemplatePlace): string[] {
    const ofResource = known ?? (logicalId === undefined ? undefined : this.constructPathOf(stack, logicalId));
    const path = ofResource ?? this.constructs.get(this.fileOf(stack).name)?.stack;
    return path === undefined ? [] : this.acknowledgements.filter(({ constructPath }) => `${path}/`.startsWith(`${constructPath}/`)).map(({ id }) => id);
  }

  private addStack(path: string, { ofAssembly, ...environment }: Environment): void {
    const stack = identity(path);
    if (this.files.has(stack)) {
      return;
    }
    const file = TemplateFile.read(path);
    if (!file.hasResources) {
      // a stack of the CDK may be empty; any other file is most likely no template.
      if (!ofAssembly) {
        throw new ProblemsError([{ rule: 'TemplateWithoutResources', path: file.name, message: 'the file has no Resources', mend: TEMPLATE_EXPECTED }]);
      }
      return;
    }
    this.add(file, { stack, ...environment, template: file.template });
    const byPath = nestedTemplates(file.template).map(([logicalId, nested]) => [logicalId, join(dirname(path), nested)] as const);
    // an assembly may tell it of templates that do not.
    for (const [logicalId, nestedPath] of new Map([...byPath, ...this.constructs.get(file.name)?.nested ?? []])) {
      // only where it is: a template may have been copied from where its nested ones are.
      if (isFile(nestedPath)) {
        attempt(this.problems, () => this.addNested(nestedPath, { ofAssembly, ...environment, parent: { stack, logicalId } }));
      }
    }
  }

  private addNested(path: string, { ofAssembly, ...environment }: Environment & { parent: Parent }): void {
    const stack = identity(path);
    const file = this.files.get(stack);
    const { parent } = environment;
    const named = this.templates.findIndex((input) => input.stack === stack && !input.parent);
    if (named >= 0 && !this.isWithin(parent.stack, stack)) {
      // it was named before its parent was, and is deployed by that one.
      this.templates[named] = { ...this.templates[named], ...environment };
    } else if (file) {
      // one more stack of the same template; what it nests in its turn is known from the first.
      this.add(file, { stack: `${stack} as ${parent.logicalId} of ${parent.stack}`, ...environment, template: file.template });
    } else {
      this.addStack(path, { ofAssembly, ...environment });
    }
  }

  private isWithin(stack: string, other: string): boolean {
    const parent = stack === other ? undefined : this.templates.find((input) => input.stack === stack)?.parent;
    return stack === other || (parent !== undefined && this.isWithin(parent.stack, other));
  }

  private add(file: TemplateFile, input: TemplateInput): void {
    this.files.set(input.stack, file);
    this.templates.push(input);
  }
}

interface Parent {
  readonly stack: string;
  readonly logicalId: string;
}

/** Where a stack is deployed, and by what. */
interface Environment {
  readonly account?: string;
  readonly region?: string;
  readonly parent?: Parent;
  /** Whether it is a stack of a cloud assembly, or nested in one. */
  readonly ofAssembly: boolean;
}

// what cannot be looked at is no directory: reading it tells why.
function isDirectory(path: string): boolean {
  try {
    return path !== STANDARD_INPUT && statSync(path).isDirectory();
  } catch {
    return false;
  }
}

// a pipe that a template names is never read: it may have no end.
function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function identity(path: string): string {
  return path === STANDARD_INPUT || !existsSync(path) ? path : realpathSync(path);
}

/** Nested stacks with the paths of their templates: the CDK's note of it, or what `aws cloudformation package` takes. */
function nestedTemplates(template: object): [string, string][] {
  const { Resources: resources } = template as { Resources?: { [logicalId: string]: any } };
  return Object.entries(typeof resources === 'object' && resources !== null ? resources : {}).flatMap(([logicalId, resource]): [string, string][] => {
    if (resource?.Type !== STACK_TYPE) {
      return [];
    }
    const path: unknown = resource.Metadata?.['aws:asset:path'] ?? resource.Properties?.TemplateURL;
    return typeof path === 'string' && !/^[a-z0-9]+:/i.test(path) ? [[logicalId, path]] : [];
  });
}
