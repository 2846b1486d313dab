import { Exchange } from '../exchange';
import { Choice } from '../paths/path-chooser';
import { EngineRequest } from '../wire/engine-request';

/** A request, and the engine that was chosen to answer it. */
export interface Assignment {
  readonly exchange: Exchange;
  /** What was asked. */
  readonly asked: EngineRequest;
  /** The path, the engine that is to read the prompt included. */
  readonly choice: Choice;
  /** Who answers. */
  readonly by: NonNullable<Choice['by']>;
}
