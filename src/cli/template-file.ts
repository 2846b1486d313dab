import { extname } from 'node:path';
import { JsonSyntaxError } from '../json-text';
import { ProblemsError } from '../problems';
import { ExpectedFile, displayName, readText } from './bounded-text';
import { parseJsonText } from './json-text-places';
import { ParsedText, Place, placeAt, TEMPLATE_EXPECTED, TextRefused } from './parsed-text';
import { parseYamlText } from './yaml-text-places';

/** CloudFormation takes templates of 1 MB: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html. */
const MAX_BYTES = 1024 * 1024;

const TEMPLATE: ExpectedFile = {
  holds: 'a template',
  tooLarge: 'CloudFormation takes no more: write the template without indentation, or move resources into nested stacks',
};

/** A position in a file. Both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The parsed template of a file, and where in the file each part of it is. */
export class TemplateFile {
  /**
   * Reads a template, JSON or YAML.
   *
   * @param file path of the file, or `-` for standard input.
   * @throws ProblemsError if it cannot be read or is no template.
   */
  public static read(file: string): TemplateFile {
    const name = displayName(file);
    const text = readText(file, MAX_BYTES, TEMPLATE).replace(/^\uFEFF/, '');
    const refuse = (rule: string, { line, column }: Position, message: string, mend: string) => (
      new ProblemsError([{ rule, path: `${name}:${line}:${column}`, message, mend }]));
    try {
      const { value, place } = parse(text, extname(file).toLowerCase());
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new TextRefused(place.offset, `the template is ${Array.isArray(value) ? 'a list' : 'no map'}`,
          TEMPLATE_EXPECTED);
      }
      return new TemplateFile(name, value, text, place);
    } catch (error) {
      if (error instanceof JsonSyntaxError) {
        throw refuse('TemplateNotJson', error, `the template is not JSON: ${error.message}`, 'mend the text at this place');
      }
      if (error instanceof TextRefused) {
        throw refuse('TemplateRefused', positionAt(text, error.offset), error.message, error.mend);
      }
      throw error;
    }
  }

  private constructor(
    /** Path of the file as it was given, or "standard input". */
    readonly name: string,
    readonly template: object,
    private readonly text: string,
    private readonly place: Place,
  ) {}

  /** Whether it has resources, or a macro that may add them. */
  public get hasResources(): boolean {
    return ['Resources', 'Transform', 'Fn::Transform'].some((section) => Object.hasOwn(this.template, section));
  }

  /**
   * Where a value is, or what is nearest to it of what there is.
   *
   * @param path of the value, such as `Resources.Nodes.Properties.LaunchTemplateData.NetworkInterfaces.0`.
   */
  public positionOf(path: string): Position {
    return positionAt(this.text, placeAt(this.place, path.split('.')).offset);
  }
}

// YAML has room for JSON, so a file is read as JSON if it looks like it and nothing says that it is YAML.
function parse(text: string, extension: string): ParsedText {
  const looksLikeJson = /^\s*[{[]/.test(text);
  if (extension !== '.json' && !looksLikeJson) {
    return parseYamlText(text);
  }
  try {
    return parseJsonText(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError && ['.yaml', '.yml'].includes(extension)) {
      return parseYamlText(text);
    }
    throw error;
  }
}

function positionAt(text: string, offset: number): Position {
  let line = 1;
  let start = 0;
  for (let end = text.indexOf('\n'); end !== -1 && end < offset; end = text.indexOf('\n', start)) {
    line++;
    start = end + 1;
  }
  return { line, column: offset - start + 1 };
}
