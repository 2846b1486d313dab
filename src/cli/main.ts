import { resolve } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import type { EstimateOutcome } from '../estimator';
import { isHeld } from '../estimator/verdict';
import { Problem, Problems, ProblemsError } from '../problems';
import type { CalibrateOptions } from './calibrate';
import type { CheckOptions } from './check';
import type { EmulateOptions } from './emulate';
import { packageFacts } from './package-facts';
import type { SearchOptions } from './search';
import type { SimulateOptions } from './simulate';

/** What the process ends with, for scripts and pipelines. */
enum ExitCode {
  /** The objective is held, or nothing is found. */
  GOOD = 0,
  /** The objective is missed or that is unknown, or something is found. */
  BAD = 1,
  WRONG_INPUT = 2,
  REFUSED = 3,
  DEFECT = 70,
}

const SPEC_EXIT_CODES = `
Exit codes:
  ${ExitCode.GOOD}   the objective is held, or there is none
  ${ExitCode.BAD}   the objective is missed, or only simulate can tell
  ${ExitCode.WRONG_INPUT}   wrong input: every problem is on standard error
  ${ExitCode.REFUSED}   no estimate: unstable, infeasible, or without a published basis
  ${ExitCode.DEFECT}  a defect of this program`;

const EMULATE_HELP = `
Exit codes:
  ${ExitCode.GOOD}   it was stopped
  ${ExitCode.WRONG_INPUT}   wrong input: every problem is on standard error
  ${ExitCode.REFUSED}   no estimate: unstable, infeasible, or without a published basis
  ${ExitCode.DEFECT}  a defect of this program`;

const CHECK_HELP = `
All that is given is one set: references between the templates are followed, and so are the templates of nested stacks.

Examples:
  cdk-disaggregated-inference check template.yaml
  cdk-disaggregated-inference check cdk.out --fail-on warning
  cdk-disaggregated-inference check network.yaml fleet.yaml --region us-east-2
  cdk-disaggregated-inference check cdk.out --format sarif > inference.sarif
  aws cloudformation get-template --stack-name fleet --query TemplateBody | cdk-disaggregated-inference check -

Exit codes:
  ${ExitCode.GOOD}   nothing is found that --fail-on counts
  ${ExitCode.BAD}   something is found
  ${ExitCode.WRONG_INPUT}   wrong input: every problem is on standard error; what could be read is checked all the same
  ${ExitCode.DEFECT}  a defect of this program`;

const CALIBRATE_HELP = `
Measurements, as records of JSON Lines, JSON or CSV; names may be in snake case or in words, times in _s or _ms, or (ms):
  arrivalSeconds, inputTokens, outputTokens, ttftSeconds, endToEndSeconds  a request of a run; tpotSeconds will do for the last
  concurrency, inputTokens, outputTokens, ttftSeconds, tpotSeconds         means of a closed loop
  inputTokens, ttftSeconds                                                 a prompt that an idle engine read, with a kind of "unloaded" if it has an arrival
  sequences, contextTokens, stepSeconds                                    a decode step; the context is at its start where outputTokens are given
  batchSize, inputTokens, outputTokens, ttftSeconds, tpotSeconds           a batch that begins and ends together, as in tables of Neuron
Names that tools have for these are known: prompt_tokens, input_toks, isl, e2e_ms, queued_ts, first_token_ts, "TTFT Latency P50 (ms)"; means count before medians.
All are of one engine: records whose model, engine, version, device, weights or tensor parallel degree (columns of these names) differ are refused, but
for those of others beside the spec's, which are skipped and told. So are an engine or a degree that is not the spec's, and times below a tenth of what the
device needs to read the weights once.
Or what a tool wrote: vllm bench serve --save-result --save-detailed (with --append-result each result is a run),
profile_export.jsonl of aiperf, profile_export.json of genai-perf, the summary of both in JSON or CSV, benchmarks.json of guidellm.

Exit codes:
  ${ExitCode.GOOD}   fitted
  ${ExitCode.BAD}   the fit is of no use: it is further off than what was known, or off by a factor of 2 on the average; no file is written
  ${ExitCode.WRONG_INPUT}   wrong input: every problem is on standard error
  ${ExitCode.REFUSED}   nothing is known of the engine
  ${ExitCode.DEFECT}  a defect of this program`;

interface SpecOptions {
  readonly format: string;
  readonly set: string[];
}

/** What is worked on, for messages. */
let subject = '';

// each command loads what it needs when it runs: the estimator alone takes longer to load than most templates to check.
async function main(): Promise<void> {
  const program = new Command('cdk-disaggregated-inference')
    .description('What to expect of a disaggregated LLM inference service on AWS, and whether its templates deploy')
    .exitOverride()
    .option('-V, --version', 'print the version')
    .on('option:version', printVersion);

  specCommand(program, 'estimate', 'throughput, latency and cost of a deployment')
    .addHelpText('after', '\nAs JSON the answer is an estimate (estimate.v1.schema.json), or {"refusal": {kind, reason, mend}}.')
    .action(async (file: string, options: SpecOptions) => {
      const { Estimator } = await import('../estimator/index.js');
      const { readSpec } = await import('./spec-file.js');
      const { estimateText, refusalText } = await import('./estimate-text.js');
      const outcome = Estimator.estimate(readSpec(file, options.set));
      print(options, outcome.estimate ?? outcome, () => outcome.estimate ? estimateText(outcome.estimate) : refusalText(outcome.refusal!));
      process.exitCode = exitCodeOf(outcome);
    });

  specCommand(program, 'plan', 'the cheapest fleet that holds the objective; counts that the spec gives are kept')
    .addHelpText('after', '\nAs JSON the answer is a fleet plan (fleet-plan.v1.schema.json).')
    .action(async (file: string, options: SpecOptions) => {
      const { FleetPlanner } = await import('../estimator/index.js');
      const { readSpec } = await import('./spec-file.js');
      const { planText } = await import('./plan-text.js');
      const plan = FleetPlanner.plan(readSpec(file, options.set));
      print(options, plan, () => planText(plan));
      process.exitCode = exitCodeOf(plan.outcome);
    });

  specCommand(program, 'search', 'the cheapest fleet of everything that could serve the workload, and what more money buys')
    .addHelpText('after', '\nAs JSON the answer is a fleet search (fleet-search.v1.schema.json).')
    .addOption(listOption('--hardware <name>', 'hardware that either pool may be of', 'the spec\'s, and what has coefficients, a price and is served by the default image'))
    .addOption(listOption('--purchase-option <name>', 'a way to buy that is open', 'on-demand, capacity-block'))
    .addOption(listOption('--tensor-parallel-degree <ranks>', 'a degree that either pool may have', 'powers of two'))
    .addOption(listOption('--serving <name>', 'disaggregated or aggregated', 'both'))
    .option('--no-simulate', 'believes the closed form, without simulation')
    .action(async (file: string, options: SpecOptions & SearchOptions) => {
      const { searchFleets, searchText } = await import('./search.js');
      const found = searchFleets(file, options);
      print(options, found, () => searchText(found));
      process.exitCode = exitCodeOf(found.outcome);
    });

  specCommand(program, 'simulate', 'every request of a deployment, from event to event')
    .option('--requests <count>', 'requests to draw from the workload, or to replay of --trace (default: all of the trace, also of the spec\'s own; ten for each client; else 10000)')
    .option('--seed <number>', 'seed of the random numbers (default: 0)')
    .option('--concurrency <clients>', 'clients that each send the next request when the last one is answered, in place of the rate; lengths vary by 5 %')
    .option('--trace <file>', 'replays recorded requests, in place of the workload\'s')
    .option('--against <log>', 'replays the requests of a measured run, which calibrate reads too, and tells how far the times of each are off')
    .option('--route [tokens]', 'lets the router decide who reads each prompt, handing on those of at least so many tokens (default: the estimator\'s), and by hash_ids of a trace which engine')
    .option('--fail <pool:instance@from-to>', 'an instance that is down, in seconds from the start: decode:0@60-120; may be repeated', collect, [])
    .option('--jsonl <file>', 'writes every request to the file, one JSON object a line')
    .action(async (file: string, options: SpecOptions & SimulateOptions) => {
      const { simulate, simulationText } = await import('./simulate.js');
      const { comparisonText } = await import('./measured-run.js');
      const { refusalText } = await import('./estimate-text.js');
      const outcome = simulate(file, options, process.stderr.isTTY ? (text) => process.stderr.write(text) : undefined);
      const { simulation, comparisons } = outcome;
      print(options, simulation === undefined || comparisons !== undefined ? outcome : simulation, () => simulation
        ? [simulationText(simulation), ...comparisons === undefined ? [] : [comparisonText(comparisons)]].join('\n\n') : refusalText(outcome.refusal!));
      const good = simulation && !simulation.backlogGrows && simulation.objectives.every(isHeld);
      process.exitCode = simulation ? good ? ExitCode.GOOD : ExitCode.BAD : ExitCode.REFUSED;
    });

  program.command('calibrate')
    .description('coefficients of an engine, fitted to measurements of it, and how far its predictions are off then')
    .usage('--spec <file> [options] <measurements...>')
    .argument('<measurements...>', 'files of measurements; - for standard input')
    .requiredOption('--spec <file>', 'needed: a deployment spec whose pool was measured; without a prefill pool, its decode pool reads prompts too')
    .option('--set <path=value>', 'puts a value into the spec; may be repeated', collect, [])
    .addOption(new Option('--pool <pool>', 'the pool that was measured').choices(['prefill', 'decode']).default('decode'))
    .option('--max-num-batched-tokens <tokens>', 'tokens of a step of the engine; the spec\'s decode.maxBatchedTokens, or 2048, unless given')
    .option('--input-tokens <tokens>', 'length of the prompts of records that do not say it, as tables whose heading does')
    .option('--output-tokens <tokens>', 'length of the answers of records that do not say it')
    .option('--batch-size <sequences>', 'sequences that were read and written together in records that do not say it')
    .option('--out <file>', 'writes the calibration to the file, for specs and constructs')
    .addOption(formatOption('text', 'json'))
    .addHelpText('after', CALIBRATE_HELP)
    .action(async (files: string[], options: CalibrateOptions & SpecOptions) => {
      subject = files.join(', ');
      const { calibrate, calibrationText } = await import('./calibrate.js');
      const { refusalText } = await import('./estimate-text.js');
      const outcome = calibrate(files, options, process.stderr.isTTY ? (text) => process.stderr.write(text) : undefined);
      const { calibration } = outcome;
      calibration?.warnings.forEach((one) => process.stderr.write(`warning: ${one}\n`));
      print(options, calibration ?? outcome, () => calibration ? calibrationText(calibration, options.out) : refusalText(outcome.refusal!));
      process.exitCode = calibration === undefined ? ExitCode.REFUSED : calibration.useless.length > 0 ? ExitCode.BAD : ExitCode.GOOD;
    });

  specArguments(program, 'emulate', 'a Bedrock endpoint on this machine that answers as fast as the deployment would')
    .addHelpText('after', EMULATE_HELP)
    .option('--port <port>', 'TCP port to listen on; 0 takes a free one', '8080')
    .action(async (file: string, options: EmulateOptions) => {
      const { emulate, emulationText } = await import('./emulate.js');
      const { outcome: { estimate, refusal }, url, stop } = await emulate(file, options);
      if (estimate === undefined) {
        const { refusalText } = await import('./estimate-text.js');
        process.stdout.write(`${refusalText(refusal!)}\n`);
        process.exitCode = ExitCode.REFUSED;
        return;
      }
      process.stdout.write(`${emulationText(estimate, url!)}\n`);
      ['SIGINT', 'SIGTERM'].forEach((signal) => process.once(signal, () => void stop()));
    });

  program.command('serve')
    .description('the router, over engines that are there')
    .usage('--config <file>')
    .requiredOption('--config <file>', 'needed: a router configuration, see router-config.v1.schema.json')
    .action(async ({ config }: { config: string }) => {
      subject = config;
      const { serve } = await import('./serve.js');
      await serve(config);
    });

  program.command('check')
    .description('whether CloudFormation templates would deploy and their fabric connect, by the rules of this library')
    .argument('<template...>', 'templates in JSON or YAML, or cloud assemblies such as cdk.out; - for standard input')
    .addOption(formatOption('text', 'json', 'sarif'))
    .addOption(listOption('--rule <id>', 'checks this rule alone', 'all rules'))
    .addOption(new Option('--fail-on <severity>', 'what exit code 1 is for: errors, or warnings too').choices(['error', 'warning']).default('error'))
    .option('--region <region>', 'the region of stacks that do not say theirs, such as us-east-2')
    .addHelpText('after', CHECK_HELP)
    .action(async (paths: string[], options: CheckOptions) => {
      subject = 'the options';
      const { check } = await import('./check.js');
      const { output, failed, problems } = check(paths, options, process.stdout.isTTY && !process.env.NO_COLOR);
      process.stdout.write(output && `${output}\n`);
      process.exitCode = failed ? ExitCode.BAD : ExitCode.GOOD;
      if (problems.length > 0) {
        refuse(problems, 'the templates');
      }
    });

  program.command('models')
    .description('the models that a spec can name; any other is given in full')
    .addOption(formatOption('text', 'json'))
    .action(async ({ format }: { format: string }) => {
      const { listedModels, modelsText } = await import('./models.js');
      const models = listedModels();
      process.stdout.write(`${format === 'json' ? JSON.stringify(models, undefined, 2) : modelsText(models)}\n`);
    });

  program.command('rules')
    .description('the rules of check')
    .addOption(formatOption('text', 'json', 'markdown'))
    .action(async ({ format }: { format: string }) => {
      const { rulesJson, rulesMarkdown, rulesText } = await import('./rules-page.js');
      process.stdout.write(`${format === 'json' ? JSON.stringify(rulesJson(), undefined, 2) : format === 'markdown' ? rulesMarkdown() : rulesText()}\n`);
    });

  [program, ...program.commands].forEach((command) => {
    command.showHelpAfterError(`see ${command === program ? '' : `${program.name()} `}${command.name()} --help`);
  });
  await program.parseAsync();
}

function printVersion(): never {
  process.stdout.write(`${packageFacts().version}\n`);
  throw new CommanderError(ExitCode.GOOD, 'commander.version', '');
}

function specCommand(program: Command, name: string, description: string): Command {
  return specArguments(program, name, description).addOption(formatOption('text', 'json')).addHelpText('after', SPEC_EXIT_CODES);
}

function specArguments(program: Command, name: string, description: string): Command {
  return program.command(name)
    .hook('preAction', (command) => {
      const { args: [file] } = command;
      subject = file === '-' ? 'standard input' : file;
      const { set, calibration } = command.opts();
      if (calibration !== undefined) {
        command.setOptionValue('set', [...set, `calibration=${resolve(calibration)}`]);
      }
    })
    .description(description)
    .argument('<spec>', 'a deployment spec, see deployment-spec.v1.schema.json; - for standard input')
    .option('--set <path=value>', 'puts a value into the spec, such as decode.instances=4, or takes it out, as prefill=null; may be repeated', collect, [])
    .option('--calibration <file>', 'a calibration that "calibrate --out" wrote, in place of what the spec says');
}

function formatOption(...formats: string[]): Option {
  return new Option('--format <format>', 'format of the answer').choices(formats).default(formats[0]);
}

function listOption(flags: string, description: string, fallback: string): Option {
  return new Option(flags, `${description}; may be repeated`).argParser(collect).default([], fallback);
}

function collect(value: string, all: string[]): string[] {
  return [...all, value];
}

function print(options: SpecOptions, value: unknown, text: () => string): void {
  process.stdout.write(`${options.format === 'json' ? JSON.stringify(value, undefined, 2) : text()}\n`);
}

function exitCodeOf(outcome: EstimateOutcome): ExitCode {
  if (!outcome.estimate) {
    return ExitCode.REFUSED;
  }
  return outcome.estimate.objectives.every(isHeld) ? ExitCode.GOOD : ExitCode.BAD;
}

function refuse(problems: Problem[], where: string): void {
  process.stderr.write(`${problems.length === 1 ? '1 problem' : `${problems.length} problems`} in ${where}\n${Problems.format(problems).replace(/^/gm, '  ')}\n`);
  process.exitCode = ExitCode.WRONG_INPUT;
}

// a reader such as `head` that has seen enough is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') {
    process.stderr.write(`the answer cannot be written: ${error.code}\n`);
    process.exitCode = ExitCode.DEFECT;
  }
});
process.stderr.on('error', () => {});

main().catch((error) => {
  if (error instanceof CommanderError) {
    // commander has printed its sentence.
    process.exitCode = error.exitCode === 0 ? ExitCode.GOOD : ExitCode.WRONG_INPUT;
  } else if (error instanceof ProblemsError) {
    refuse(error.problems, subject);
  } else {
    process.stderr.write(`unexpected error, please report it: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = ExitCode.DEFECT;
  }
});
