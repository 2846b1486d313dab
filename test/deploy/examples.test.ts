import { deploy, Deployment, typesMade } from './deployment';
import { Emulator, EmulatorName } from './emulators';
import { LIMITS, SEEN_NOWHERE } from './limits';
import { purchasesStack } from './purchases';
import { lostIn, seenNowhere, summary } from './report';
import { exampleStacks, ExampleStack } from './templates';

// Each emulator skips or forgets something and reports success, so no status counts here: what CloudFormation lists is compared with the template,
// and what the services answer with the template's properties. What is known to be skipped or forgotten is in limits.ts, and that is compared too.
const EMULATORS: EmulatorName[] = ['moto', 'ministack'];

let stacks: ExampleStack[] = [];
const deployments: Deployment[] = [];
const leftOutButMade: Partial<Record<EmulatorName, string[]>> = {};

beforeAll(async () => {
  stacks = [...exampleStacks(), purchasesStack()];
  for (const name of EMULATORS) {
    const emulator = await Emulator.start(name);
    try {
      for (const stack of stacks) {
        deployments.push(await deploy(emulator, stack, LIMITS[name]));
      }
      leftOutButMade[name] = await typesMade(emulator, Object.keys(LIMITS[name].removed));
    } finally {
      await emulator.stop();
    }
  }
  process.stdout.write(summary(deployments));
}, 280_000);

test('there is at least the quick-start', () => {
  expect(stacks.map(({ name }) => name)).toContain('QuickStart');
});

describe.each(EMULATORS)('%s', (name) => {
  test('makes every resource that it is asked for', () => {
    const done = deployments.filter(({ emulator }) => emulator === name);
    expect(done.map(({ listed }) => [...listed].sort())).toEqual(done.map(({ asked }) => [...asked].sort()));
    expect(done.map(({ stack }) => stack.name)).toEqual(stacks.map((stack) => stack.name));
  });

  test('reads the attributes of the resources that it made', () => {
    const done = deployments.filter(({ emulator }) => emulator === name);
    const attributes = done.flatMap((deployment) => Object.entries(deployment.attributes).map(([key, value]) => {
      const [logicalId, attribute] = key.split(',');
      return { attribute, value, nameInId: deployment.physicalIds[logicalId].split(/[/:]/).pop()! };
    }));
    const [groups, arns] = ['GroupId', 'Arn'].map((wanted) => attributes.filter(({ attribute }) => attribute === wanted));
    expect(groups.length * arns.length).toBeGreaterThan(0);
    expect(groups.filter(({ value, nameInId }) => value !== nameInId)).toEqual([]);
    expect(arns.filter(({ value, nameInId }) => !value.startsWith('arn:aws:') || !value.includes(nameInId))).toEqual([]);
  });

  test('makes none of the types that are left out of the templates for it', () => {
    expect(leftOutButMade[name]).toEqual([]);
  });

  test('answers every property as it is written, but for those that it is known to forget', () => {
    expect(lostIn(deployments.filter(({ emulator }) => emulator === name))).toEqual(LIMITS[name].lost);
  });
});

test('every resource is made and every property answered as it is written in one emulator at least, but for those listed', () => {
  const listed = Object.entries(SEEN_NOWHERE).map(([type, paths]) => [type, Object.keys(paths).sort()]);
  expect(seenNowhere(stacks, deployments)).toEqual(Object.fromEntries(listed));
});
