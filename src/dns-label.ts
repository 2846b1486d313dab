import { Names } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';

/** A DNS label that is unique in the stack. */
export function dnsLabel(scope: IConstruct): string {
  return Names.uniqueResourceName(scope, { maxLength: 50, separator: '-' }).toLowerCase();
}
