import { Unknown, Value } from '../graph/template-graph';

/** A word without quotes in which the shell does nothing; in double quotes; in single quotes. */
const PIECE = /^(?:[^\s'"\\$`;&|<>()*?{}~#!]+|"[^"\\$`]*"|'[^']*')+/;

/**
 * The words of the simple commands of a shell's script, command by command. A word that the shell makes something of, such as `$MODEL`, is unknown.
 *
 * @param script what follows `sh -c`.
 */
export function shellCommands(script: string): Value[][] {
  const commands: Value[][] = [[]];
  let rest = script.replaceAll('\\\n', ' ');
  while (rest !== '') {
    const separator = /^\s*(?:\n|;|&&|\|\||\||&)\s*/.exec(rest)?.[0] ?? /^\s+/.exec(rest)?.[0];
    if (separator !== undefined) {
      if (separator.trim() !== '' || separator.includes('\n')) {
        commands.push([]);
      }
      rest = rest.slice(separator.length);
      continue;
    }
    const whole = PIECE.exec(rest)?.[0];
    const isWhole = whole !== undefined && /^(?:$|[\s;&|])/.test(rest.slice(whole.length));
    const taken = isWhole ? whole : /^(?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s;&|])+|^[^]/.exec(rest)![0];
    commands.at(-1)!.push(isWhole ? whole.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2') : new Unknown('a word that a shell makes', ''));
    rest = rest.slice(taken.length);
  }
  return commands.filter((words) => words.length > 0);
}
