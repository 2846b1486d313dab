import * as fc from 'fast-check';
import {
  AcceleratedInstanceType, Accelerator, GpuInstanceType, Hardware, NeuronInstanceType, UltraServer, WaferScaleSystem,
} from '../../src/hardware';
import { Problem, ProblemsError } from '../../src/problems';

function problemsOf(act: () => unknown): Problem[] {
  try {
    act();
  } catch (error) {
    if (error instanceof ProblemsError) {
      return error.problems;
    }
    throw error;
  }
  return [];
}

const INSTANCE_TYPES: AcceleratedInstanceType[] = [...NeuronInstanceType.all(), ...GpuInstanceType.all()];

describe('accelerators', () => {
  test.each([
    [Accelerator.TRAINIUM1, 190e12, 190e12, 32 * 1024 ** 3, 820e9, 2, 192e9],
    [Accelerator.INFERENTIA2, 190e12, 190e12, 32 * 1024 ** 3, 820e9, 2, 96 * 1024 ** 3],
    [Accelerator.TRAINIUM2, 667e12, 1299e12, 96 * 1024 ** 3, 2.9e12, 4, 512e9],
    [Accelerator.TRAINIUM3, 671e12, 2517e12, 144 * 1024 ** 3, 4.9e12, 4, 1280e9],
    [Accelerator.A100_40GB, 312e12, undefined, 40 * 1024 ** 3, 1.555e12, undefined, 300e9],
    [Accelerator.A100_80GB, 312e12, undefined, 80 * 1024 ** 3, 2.039e12, undefined, 300e9],
    [Accelerator.H100, 989e12, 1979e12, 80 * 1024 ** 3, 3.35e12, undefined, 450e9],
    [Accelerator.H200, 989e12, 1979e12, 141e9, 4.8e12, undefined, 450e9],
    [Accelerator.B200, 2250e12, 4500e12, 179 * 1024 ** 3, 8e12, undefined, 900e9],
    [Accelerator.B300, undefined, undefined, 268 * 1024 ** 3, 8e12, undefined, undefined],
    [Accelerator.GB200, 2500e12, 5000e12, 185 * 1024 ** 3, 8e12, undefined, 900e9],
  ])('%#: peaks, memory, cores and links', (accelerator, bf16, fp8, bytes, bytesPerSecond, cores, link) => {
    expect(accelerator.bf16FlopsPerSecond).toBe(bf16);
    expect(accelerator.fp8FlopsPerSecond).toBe(fp8);
    expect(accelerator.hbmBytes).toBe(bytes);
    expect(accelerator.hbmBytesPerSecond).toBe(bytesPerSecond);
    expect(accelerator.logicalNeuronCores).toBe(cores);
    expect(accelerator.linkBytesPerSecond).toBe(link);
    expect(accelerator.source).not.toBe('');
    expect(Accelerator.of(accelerator.name)).toBe(accelerator);
  });

  test('an unknown name gets the nearest ones', () => {
    expect(Accelerator.all()).toHaveLength(11);
    expect(problemsOf(() => Accelerator.of('trainum2'))).toEqual([{
      rule: 'AcceleratorUnknown',
      path: 'accelerator',
      value: '"trainum2"',
      message: 'there is no accelerator of this name',
      mend: 'use one of trainium2, trainium1, trainium3',
    }]);
  });
});

describe('instance types', () => {
  test.each([
    ['trn1.2xlarge', 1, 8, 1, 4, 0, undefined, ['on-demand', 'spot']],
    ['trn1.32xlarge', 16, 128, 8, 5, 8, 100e9, ['on-demand', 'spot', 'capacity-block']],
    ['trn1n.32xlarge', 16, 128, 16, 5, 16, 200e9, ['on-demand', 'spot']],
    ['trn2.3xlarge', 1, 12, 1, 2, 1, 25e9, ['spot', 'capacity-block']],
    ['trn2.48xlarge', 16, 192, 16, 2, 16, 400e9, ['spot', 'capacity-block']],
    ['trn2u.48xlarge', 16, 192, 16, 2, 16, 400e9, ['capacity-block']],
    ['inf2.xlarge', 1, 4, 1, 4, 0, undefined, ['on-demand']],
    ['inf2.8xlarge', 1, 32, 1, 8, 0, undefined, ['on-demand']],
    ['inf2.24xlarge', 6, 96, 1, 15, 0, undefined, ['on-demand']],
    ['inf2.48xlarge', 12, 192, 1, 15, 0, undefined, ['on-demand']],
    ['p4d.24xlarge', 8, 96, 4, 15, 4, 50e9, ['on-demand', 'spot', 'capacity-block']],
    ['p5.48xlarge', 8, 192, 32, 2, 32, 400e9, ['on-demand', 'spot', 'capacity-block']],
    ['p5e.48xlarge', 8, 192, 32, 2, 32, 400e9, ['capacity-block']],
    ['p6-b300.48xlarge', 8, undefined, 17, 4, 16, 800e9, ['on-demand', 'capacity-block']],
    ['p6e-gb200.36xlarge', 4, 144, 17, undefined, 8, 200e9, ['capacity-block']],
  ])('%s', (name, chips, vcpus, cards, maxInterfaces, efaCards, bytesPerSecond, purchaseOptions) => {
    const type = Hardware.accelerated(name) as AcceleratedInstanceType;
    expect(type.acceleratorCount).toBe(chips);
    expect(type.vcpus).toBe(vcpus);
    expect(type.networkCards.map((card) => card.index)).toEqual(Array.from({ length: cards }, (_, index) => index));
    expect(type.networkCards[0].maxInterfaces).toBe(maxInterfaces);
    expect(type.networkCards.filter((card) => card.efa)).toHaveLength(efaCards);
    expect(type.efa?.bytesPerSecond).toBe(bytesPerSecond);
    expect(type.purchaseOptions).toEqual(purchaseOptions);
  });

  test.each(INSTANCE_TYPES.map((type) => [type.name, type] as const))('%s is consistent', (_, type) => {
    expect(type.networkCards.filter((card) => card.efa)).toHaveLength(type.efa?.interfaces ?? 0);
    expect(type.source).not.toBe('');
    for (const price of type.prices) {
      expect(type.purchaseOptions).toContain(price.purchase);
      expect(price.usdPerHour).toBeGreaterThan(0);
      expect(price.source).not.toBe('');
      expect(price.asOf).toMatch(/^2026-\d\d-\d\d$/);
    }
  });

  test('EFA is a matter of the card, not of the count', () => {
    const efaCards = (type: GpuInstanceType) => type.networkCards.filter((card) => card.efa).map((card) => card.index);
    expect(efaCards(GpuInstanceType.P6_B300_48XLARGE)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    expect(efaCards(GpuInstanceType.P6E_GB200_36XLARGE)).toEqual([1, 3, 5, 7, 9, 11, 13, 15]);
  });

  test('Neuron details', () => {
    expect(NeuronInstanceType.TRN2_48XLARGE.logicalNeuronCores).toBe(64);
    expect(NeuronInstanceType.TRN2_48XLARGE.accelerator).toBe(Accelerator.TRAINIUM2);
    expect(NeuronInstanceType.TRN2_48XLARGE.efa).toEqual({ interfaces: 16, bytesPerSecond: 400e9, generation: 'EFAv3', deviceDirectRdma: true });
    expect(NeuronInstanceType.TRN2_3XLARGE.efa?.deviceDirectRdma).toBe(false);
    expect(NeuronInstanceType.TRN2U_48XLARGE.ultraServer).toBe(UltraServer.TRN2_ULTRASERVER);
    expect(NeuronInstanceType.TRN2_48XLARGE.ultraServer).toBeUndefined();
    expect(NeuronInstanceType.INF2_24XLARGE.logicalNeuronCores).toBe(12);
    expect(NeuronInstanceType.TRN1_2XLARGE.memoryGib).toBe(32);
  });

  test('availability is dated', () => {
    expect(NeuronInstanceType.TRN2_48XLARGE.availability).toMatchObject({
      regions: ['us-east-2', 'ap-south-2'],
      availabilityZoneIds: ['use2-az1', 'use2-az2', 'use2-az3', 'aps2-az1', 'aps2-az2', 'aps2-az3'],
      asOf: '2026-10-03',
    });
    // the zones of this one are known in part only
    expect(NeuronInstanceType.TRN2_3XLARGE.availability?.availabilityZoneIds).toBeUndefined();
    expect(NeuronInstanceType.INF2_48XLARGE.availability).toBeUndefined();
  });

  test('prices are what somebody published', () => {
    const prices = NeuronInstanceType.TRN2_48XLARGE.prices.map(({ usdPerHour, purchase, zone }) => ({ usdPerHour, purchase, zone }));
    expect(prices).toEqual([
      { usdPerHour: 35.7608, purchase: 'capacity-block', zone: undefined },
      { usdPerHour: 14.5593, purchase: 'spot', zone: 'us-east-2c' },
    ]);
    expect(NeuronInstanceType.TRN1_32XLARGE.prices.map((price) => price.usdPerHour)).toEqual([21.5, 9.532]);
    expect(NeuronInstanceType.TRN2U_48XLARGE.prices).toEqual([]);
  });

  test('names find their type, in the right family only', () => {
    for (const type of NeuronInstanceType.all()) {
      expect(NeuronInstanceType.of(type.name)).toBe(type);
      expect(problemsOf(() => GpuInstanceType.of(type.name))[0].rule).toBe('InstanceTypeUnknown');
    }
    for (const type of GpuInstanceType.all()) {
      expect(GpuInstanceType.of(type.name)).toBe(type);
    }
    expect(problemsOf(() => NeuronInstanceType.of('trn2.48xl'))[0]).toEqual({
      rule: 'InstanceTypeUnknown',
      path: 'instanceType',
      value: '"trn2.48xl"',
      message: 'there is no Neuron instance type of this name',
      mend: 'use one of trn2.48xlarge, trn2u.48xlarge, trn2.3xlarge',
    });
  });

  test.each(['trn3.48xlarge', 'trn3', 'TRN3pd98.3xlarge'])('%s does not exist', (name) => {
    expect(problemsOf(() => NeuronInstanceType.of(name))[0].message).toBe('no public EC2 instance type exists for Trainium3');
  });
});

describe('systems without an instance type', () => {
  test('UltraServers', () => {
    const rows = UltraServer.all().map((server) =>
      [server.name, server.accelerator.name, server.acceleratorCount, server.logicalCores, server.efaBytesPerSecond]);
    expect(rows).toEqual([
      ['u-trn2x64', 'trainium2', 64, 256, 1600e9],
      ['Trn3 Gen1 UltraServer', 'trainium3', 64, 256, 1600e9],
      ['Trn3 Gen2 UltraServer', 'trainium3', 144, 576, 3600e9],
    ]);
  });

  test('wafers', () => {
    expect(WaferScaleSystem.CS3).toMatchObject({
      name: 'cs-3',
      wafersPerSystem: 1,
      sramBytesPerWafer: 44e9,
      ioBytesPerSecondPerWafer: 150e9,
      ioLatencySeconds: 5e-6,
      powerWatts: 23_000,
    });
    expect(WaferScaleSystem.CS4).toMatchObject({
      name: 'cs-4',
      wafersPerSystem: 3,
      sramBytesPerWafer: 44e9,
      ioBytesPerSecondPerWafer: 300e9,
      ioLatencySeconds: 3e-6,
      powerWatts: 162_000,
    });
  });
});

describe('lookup', () => {
  test('every name is found in one place', () => {
    expect(Hardware.names()).toHaveLength(23);
    for (const name of Hardware.names()) {
      const found = [Hardware.accelerated(name), Hardware.ultraServer(name), Hardware.wafer(name)].filter((hardware) => hardware !== undefined);
      expect(found.map((hardware) => hardware?.name)).toEqual([name]);
    }
    expect(Hardware.accelerated('toString')).toBeUndefined();
  });

  test('nearest names', () => {
    expect(Hardware.nearest('Trn3 Gen3 UltraServer')).toEqual(['Trn3 Gen1 UltraServer', 'Trn3 Gen2 UltraServer']);
    expect(Hardware.nearest('CS3')).toEqual(['cs-3', 'cs-4']);
    expect(Hardware.nearest('something else entirely')).toEqual([]);
  });

  test('a name is nearest to itself, and there are three at most', () => {
    fc.assert(fc.property(fc.constantFrom(...Hardware.names()), (name) => Hardware.nearest(name)[0] === name));
    fc.assert(fc.property(fc.string(), (name) => Hardware.nearest(name).length <= 3));
  });
});
