import { closest, compare } from './compare';

const written = {
  CapacityType: 'CAPACITY_BLOCK',
  NetworkInterfaces: [{ NetworkCardIndex: 0, DeviceIndex: 0, Groups: ['sg-1', 'sg-2'] }, { NetworkCardIndex: 1, DeviceIndex: 0, Groups: ['sg-1'] }],
  MaxSize: '2',
  Tags: [{ Key: 'Name', Value: 'prefill' }],
};

test('the same in the words of an API is equal, in any order and beside other tags', () => {
  expect(compare(written, {
    capacityType: 'CAPACITY_BLOCK',
    networkInterfaces: [{ networkCardIndex: 1, deviceIndex: 0, groups: ['sg-1'] }, { networkCardIndex: 0, deviceIndex: 0, groups: ['sg-2', 'sg-1'] }],
    maxSize: 2,
    tags: [{ key: 'aws:cloudformation:stack-name', value: 'Stack' }, { key: 'Name', value: 'prefill' }],
    status: 'ACTIVE',
  })).toEqual({ equal: 11, differences: [] });
});

test.each([
  ['a value', { MaxSize: '3' }, ['MaxSize']],
  ['a value that is missing', { CapacityType: undefined }, ['CapacityType']],
  ['an item', { NetworkInterfaces: [written.NetworkInterfaces[0], { ...written.NetworkInterfaces[1], NetworkCardIndex: 2 }] }, ['NetworkInterfaces[*].NetworkCardIndex']],
  ['an item that is missing', { NetworkInterfaces: [written.NetworkInterfaces[0]] }, ['NetworkInterfaces']],
  ['an item twice', { NetworkInterfaces: [written.NetworkInterfaces[0], written.NetworkInterfaces[0]] }, ['NetworkInterfaces[*].Groups', 'NetworkInterfaces[*].NetworkCardIndex']],
  ['an item too many', { NetworkInterfaces: [...written.NetworkInterfaces, written.NetworkInterfaces[1]] }, ['NetworkInterfaces']],
  ['a list that is missing', { NetworkInterfaces: undefined }, ['NetworkInterfaces']],
  ['a tag', { Tags: [{ Key: 'Name', Value: 'decode' }] }, ['Tags[*]']],
])('%s that is not as written is found', (_what, change, differences) => {
  expect(compare(written, { ...written, ...change }).differences.sort()).toEqual(differences);
});

test('of several answers the nearest counts, and none is none', () => {
  const rule = { IpProtocol: 'tcp', FromPort: 8100 };
  expect(closest(rule, [{ IpProtocol: '-1' }, { IpProtocol: 'tcp', FromPort: 8200 }]).comparison).toEqual({ equal: 1, differences: ['FromPort'] });
  expect(closest(rule, []).comparison).toEqual({ equal: 0, differences: ['IpProtocol', 'FromPort'] });
});
