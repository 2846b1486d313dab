import * as fc from 'fast-check';
import { AcceleratedInstanceType, GpuInstanceType, NeuronInstanceType } from '../../src/hardware';
import { EfaInterfaceLayout, EfaInterfaceType } from '../../src/network';

const positions = (type: AcceleratedInstanceType) => EfaInterfaceLayout.of(type).interfaces
  .map((nic) => `${nic.networkCardIndex}/${nic.deviceIndex} ${nic.interfaceType}`);

const furtherCards = (count: number) => Array.from({ length: count - 1 }, (_, index) => `${index + 1}/0 efa-only`);

test.each([
  ['trn1.32xlarge', 8],
  ['trn1n.32xlarge', 16],
  ['trn2.48xlarge', 16],
  ['trn2u.48xlarge', 16],
])('%s has an IP interface, and an EFA-only interface on each of its %d cards', (name, cards) => {
  const type = NeuronInstanceType.of(name);
  expect(positions(type)).toEqual(['0/0 interface', '0/1 efa-only', ...furtherCards(cards)]);
  expect(EfaInterfaceLayout.of(type).efaInterfaceCount).toBe(cards);
});

test('a single card with EFA carries IP at device 0 and EFA at device 1', () => {
  expect(positions(NeuronInstanceType.TRN2_3XLARGE)).toEqual(['0/0 interface', '0/1 efa-only']);
});

test.each(['trn1.2xlarge', 'inf2.48xlarge'])('%s has no EFA: one interface', (name) => {
  expect(positions(NeuronInstanceType.of(name))).toEqual(['0/0 interface']);
  expect(EfaInterfaceLayout.of(NeuronInstanceType.of(name)).efaInterfaceCount).toBe(0);
});

test('every layout of every instance type keeps the rules of EC2', () => {
  fc.assert(fc.property(fc.constantFrom<AcceleratedInstanceType>(...NeuronInstanceType.all(), ...GpuInstanceType.all()), (type) => {
    const { interfaces, efaInterfaceCount } = EfaInterfaceLayout.of(type);
    const cards = new Map(type.networkCards.map((card) => [card.index, card]));
    expect(interfaces[0]).toMatchObject({ networkCardIndex: 0, deviceIndex: 0 });
    expect(interfaces[0].interfaceType).not.toBe(EfaInterfaceType.EFA_ONLY);
    expect(new Set(interfaces.map((nic) => `${nic.networkCardIndex}/${nic.deviceIndex}`)).size).toBe(interfaces.length);
    for (const nic of interfaces) {
      const card = cards.get(nic.networkCardIndex)!;
      expect(nic.deviceIndex).toBeLessThan(card.maxInterfaces ?? 1);
      if (nic.interfaceType !== EfaInterfaceType.INTERFACE) {
        expect(card.efa).toBe(true);
      }
    }
    expect(efaInterfaceCount).toBe(type.networkCards.filter((card) => card.efa).length);
  }));
});
