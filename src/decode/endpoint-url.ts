import { Token } from 'aws-cdk-lib';
import { Problem } from '../problems';

/**
 * What is wrong with a base URL. A token is not checked.
 */
export function urlProblems(url: string, path: string): Problem[] {
  if (Token.isUnresolved(url)) {
    return [];
  }
  const fits = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) && !url.endsWith('/') && new URL(url).search === '';
  return fits ? [] : [{
    rule: 'EndpointUrl',
    path,
    value: JSON.stringify(url),
    message: 'this is not the base URL of an HTTP API',
    mend: 'use a URL such as https://host.example:8443, without a trailing slash or query',
  }];
}
