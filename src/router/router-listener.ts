import { aws_certificatemanager as acm } from 'aws-cdk-lib';

/**
 * How callers connect to a router. There is no way to put plain HTTP on the internet.
 */
export class RouterListener {
  /**
   * HTTPS within the VPC and the networks joined to it; plain HTTP is redirected to it.
   *
   * @param certificate certificate of the load balancer.
   * @param domainName name that the certificate is for and that callers use; an alias record of it is to point to the load balancer.
   */
  public static tls(certificate: acm.ICertificate, domainName: string): RouterListener {
    return new RouterListener(false, domainName, certificate);
  }

  /**
   * HTTPS, open to the internet; plain HTTP is redirected to it. API keys are all that keeps strangers out.
   *
   * @param certificate certificate of the load balancer.
   * @param domainName name that the certificate is for and that callers use; an alias record of it is to point to the load balancer.
   */
  public static internetFacingTls(certificate: acm.ICertificate, domainName: string): RouterListener {
    return new RouterListener(true, domainName, certificate);
  }

  /**
   * Plain HTTP within the VPC and the networks joined to it: prompts and API keys can be read by whoever reads that network.
   */
  public static plaintextInternal(): RouterListener {
    return new RouterListener(false);
  }

  /** Whether the load balancer has public addresses and admits everybody. */
  public readonly internetFacing: boolean;

  /**
   * Name that callers use.
   *
   * @default - the load balancer's own name
   */
  public readonly domainName?: string;

  /**
   * Certificate of the load balancer.
   *
   * @default - plain HTTP
   */
  public readonly certificate?: acm.ICertificate;

  private constructor(internetFacing: boolean, domainName?: string, certificate?: acm.ICertificate) {
    this.internetFacing = internetFacing;
    this.domainName = domainName;
    this.certificate = certificate;
  }
}
