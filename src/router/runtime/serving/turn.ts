let end: Promise<void> | undefined;

/**
 * Resolves at the end of this turn of the event loop. What is written then is written together with all else of the turn: each write on its own would wake a
 * process that has gone to sleep again since the last one, which costs more than the write.
 */
export async function endOfTurn(): Promise<void> {
  end ??= new Promise((resolve) => {
    setImmediate(() => {
      end = undefined;
      resolve();
    });
  });
  return end;
}
