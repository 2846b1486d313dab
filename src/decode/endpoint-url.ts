import { Token } from 'aws-cdk-lib';
import { isBaseUrl } from '../base-url';
import { Problem } from '../problems';

/**
 * What is wrong with a base URL. A token is not checked.
 */
export function urlProblems(url: string, path: string): Problem[] {
  if (Token.isUnresolved(url)) {
    return [];
  }
  return isBaseUrl(url) && !url.endsWith('/') ? [] : [{
    rule: 'EndpointUrl',
    path,
    value: JSON.stringify(url),
    message: 'this is not the base URL of an HTTP API',
    mend: 'use a URL such as https://host.example:8443, without credentials, a trailing slash, query or fragment',
  }];
}
