import { Command, CommanderError, Option } from 'commander';
import { EstimateOutcome, Estimator, FleetPlanner } from '../estimator';
import { Problems, ProblemsError } from '../problems';
import { estimateText, refusalText } from './estimate-text';
import { planText } from './plan-text';
import { readSpec } from './spec-file';

/** What the process ends with, for scripts and pipelines. */
enum ExitCode {
  HELD = 0,
  MISSED = 1,
  WRONG_INPUT = 2,
  REFUSED = 3,
  DEFECT = 70,
}

const EXIT_CODES = `
Exit codes:
  ${ExitCode.HELD}   the objective is held, or there is none
  ${ExitCode.MISSED}   the objective is missed
  ${ExitCode.WRONG_INPUT}   wrong input: every problem is on standard error
  ${ExitCode.REFUSED}   no estimate: unstable, infeasible, or without a published basis
  ${ExitCode.DEFECT}  a defect of this program`;

interface SpecOptions {
  readonly format: string;
  readonly set: string[];
}

/** The file that is worked on, for messages. */
let specFile = '';

function main(): void {
  const program = new Command('cdk-disaggregated-inference')
    .description('What to expect of a disaggregated LLM inference service on AWS')
    .exitOverride()
    .addHelpText('afterAll', EXIT_CODES);

  specCommand(program, 'estimate', 'throughput, latency and cost of a deployment')
    .addHelpText('after', '\nAs JSON the answer is an estimate (estimate.v1.schema.json), or {"refusal": {kind, reason, mend}}.')
    .action((file: string, options: SpecOptions) => {
      const outcome = Estimator.estimate(readSpec(file, options.set));
      print(options, outcome.estimate ?? outcome, () => outcome.estimate ? estimateText(outcome.estimate) : refusalText(outcome.refusal!));
      process.exitCode = exitCodeOf(outcome);
    });

  specCommand(program, 'plan', 'the cheapest fleet that holds the objective; counts that the spec gives are kept')
    .addHelpText('after', '\nAs JSON the answer is a fleet plan (fleet-plan.v1.schema.json).')
    .action((file: string, options: SpecOptions) => {
      const plan = FleetPlanner.plan(readSpec(file, options.set));
      print(options, plan, () => planText(plan));
      process.exitCode = exitCodeOf(plan.outcome);
    });

  program.parse();
}

function specCommand(program: Command, name: string, description: string): Command {
  return program.command(name)
    .hook('preAction', (command) => {
      specFile = command.args[0] === '-' ? 'standard input' : command.args[0];
    })
    .description(description)
    .argument('<spec>', 'a deployment spec, see deployment-spec.v1.schema.json; - for standard input')
    .addOption(new Option('--format <format>', 'format of the answer').choices(['text', 'json']).default('text'))
    .option('--set <path=value>', 'puts a value into the spec, such as decode.instances=4; may be repeated',
      (assignment: string, all: string[]) => [...all, assignment], []);
}

function print(options: SpecOptions, value: unknown, text: () => string): void {
  process.stdout.write(`${options.format === 'json' ? JSON.stringify(value, undefined, 2) : text()}\n`);
}

function exitCodeOf(outcome: EstimateOutcome): ExitCode {
  if (!outcome.estimate) {
    return ExitCode.REFUSED;
  }
  return outcome.estimate.objectives.every((verdict) => verdict.held) ? ExitCode.HELD : ExitCode.MISSED;
}

// a reader such as `head` that has seen enough is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') {
    throw error;
  }
});

try {
  main();
} catch (error) {
  if (error instanceof CommanderError) {
    // commander has printed its sentence.
    process.exitCode = error.exitCode === 0 ? ExitCode.HELD : ExitCode.WRONG_INPUT;
  } else if (error instanceof ProblemsError) {
    const count = error.problems.length === 1 ? '1 problem' : `${error.problems.length} problems`;
    process.stderr.write(`${count} in ${specFile}\n${Problems.format(error.problems).replace(/^/gm, '  ')}\n`);
    process.exitCode = ExitCode.WRONG_INPUT;
  } else {
    process.stderr.write(`unexpected error, please report it: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = ExitCode.DEFECT;
  }
}
