import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020';
import * as ts from 'typescript';

const SRC = join(__dirname, '../../src');

function schema(name: string): any {
  return JSON.parse(readFileSync(join(SRC, `estimator/schema/${name}.v1.schema.json`), 'utf8'));
}

const SCHEMAS = ['deployment-spec', 'estimate', 'fleet-plan', 'fleet-search', 'simulation'];

interface Property {
  readonly optional: boolean;
  readonly type: string;
  readonly description: string;
}

interface Declared {
  readonly description: string;
  readonly base?: string;
  readonly properties: { [name: string]: Property };
}

/** The interfaces of the files, by name. */
function declaredInterfaces(...files: string[]): { [name: string]: Declared } {
  const declared: { [name: string]: Declared } = {};
  for (const file of files) {
    const source = ts.createSourceFile(file, readFileSync(join(SRC, file), 'utf8'), ts.ScriptTarget.Latest, true);
    for (const statement of source.statements.filter(ts.isInterfaceDeclaration)) {
      declared[statement.name.text] = {
        description: documentation(statement),
        base: statement.heritageClauses?.[0].types[0].getText(),
        properties: Object.fromEntries(statement.members.filter(ts.isPropertySignature).map((member) => [member.name.getText(), {
          optional: member.questionToken !== undefined,
          type: member.type!.getText(),
          description: documentation(member),
        }])),
      };
    }
  }
  return declared;
}

function documentation(node: ts.Node): string {
  const comment = ts.getJSDocCommentsAndTags(node).find(ts.isJSDoc)!;
  const text = (part: ts.JSDoc['comment']) => ts.getTextOfJSDocComment(part)!.replace(/\s+/g, ' ').trim();
  const fallback = comment.tags?.find((tag) => tag.tagName.text === 'default');
  return text(comment.comment) + (fallback ? ` Default: ${text(fallback.comment).replace(/^- /, '')}.` : '');
}

function allProperties(declared: { [name: string]: Declared }, name: string): { [name: string]: Property } {
  const { base, properties } = declared[name];
  return { ...(base ? allProperties(declared, base) : {}), ...properties };
}

/** The TypeScript type that a schema describes. */
function typeOf(described: any): string {
  if (described.$ref) {
    const parts = described.$ref.split('/');
    return { '../deployment-spec/v1': 'DeploymentSpec', '../estimate/v1': 'Estimate' }[described.$ref as string] ?? parts[parts.length - 1];
  }
  if (described.const !== undefined) {
    return typeof described.const;
  }
  if (described.if) {
    return typeOf(described.else);
  }
  switch (described.type) {
    case 'array': return `${typeOf(described.items)}[]`;
    case 'integer': return 'number';
    case 'object': return `{ [name: string]: ${typeOf(described.additionalProperties)} }`;
    default: return described.type;
  }
}

const declared = declaredInterfaces(
  'model/model-spec.ts', 'workload/workload-spec.ts', 'estimator/calibration-spec.ts', 'estimator/deployment-spec.ts',
  'estimator/estimate.ts', 'estimator/planner/fleet-search.ts', 'estimator/simulation/simulation.ts',
);

/** What exists in the schema alone: a convenience of files. */
const ONLY_IN_FILES = { definition: 'TraceWorkload', property: '$schema' };

describe.each([
  ['deployment-spec', 'DeploymentSpec'], ['estimate', 'Estimate'], ['fleet-plan', 'FleetPlan'], ['fleet-search', 'FleetSearch'], ['simulation', 'Simulation'],
])('%s', (file, root) => {
  const { $defs, ...rootDefinition } = schema(file);
  const definitions = Object.entries<any>({ [root]: rootDefinition, ...$defs }).filter(([name]) => name !== ONLY_IN_FILES.definition);

  test.each(definitions)('%s describes the TypeScript type', (name, definition) => {
    const properties = allProperties(declared, name);
    const described = Object.entries<any>(definition.properties).filter(([property]) => property !== ONLY_IN_FILES.property);
    expect(described.map(([property]) => property).sort()).toEqual(Object.keys(properties).sort());
    expect((definition.required ?? []).slice().sort())
      .toEqual(Object.keys(properties).filter((property) => !properties[property].optional).sort());
    expect(definition.additionalProperties).toBe(false);
    expect(definition.description).toBe(declared[name].description);
    for (const [property, value] of described) {
      expect([property, typeOf(value)]).toEqual([property, properties[property].type]);
      // the workload's goes on about files.
      expect(value.description.slice(0, properties[property].description.length)).toBe(properties[property].description);
    }
  });

  test('its id is what the `schema` field of such a value says', () => {
    expect(rootDefinition.$id).toBe(rootDefinition.properties.schema.const);
    expect(rootDefinition.$id).toBe(`cdk-disaggregated-inference/${file}/v1`);
  });
});

test('the schemas are valid in the strict mode of ajv and refer to each other', () => {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
  SCHEMAS.forEach((name) => ajv.addSchema(schema(name)));
  for (const name of SCHEMAS) {
    expect(ajv.getSchema(`cdk-disaggregated-inference/${name}/v1`)).toBeInstanceOf(Function);
  }
});
