import { Template } from 'aws-cdk-lib/assertions';

/** What is put where the ARN of the callers' API keys is. */
export const API_KEYS_ARN = 'arn:aws:secretsmanager:us-east-2:111122223333:secret:keys-AbCdEf';

/** The router's configuration in the template, with a placeholder for what is known only at deployment. */
export function configIn(template: Template, placeholder = 'token'): any {
  const [parameter] = Object.values(template.findResources('AWS::SSM::Parameter'));
  const value = parameter.Properties.Value;
  const known = (part: unknown) => (typeof part === 'string' ? part : JSON.stringify(part).includes('ApiKeys') ? API_KEYS_ARN : placeholder);
  const text = typeof value === 'string' ? value : value['Fn::Join'][1].map(known).join('');
  return JSON.parse(text);
}
