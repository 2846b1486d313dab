/* eslint-disable no-bitwise -- a binary tree in an array */
import { isBefore } from '../../routing';

/**
 * A fixed number of players with a number each; the lowest number wins, of equal ones the player whose last turn is longest ago, at first the lowest.
 */
export class Tournament {
  /** The winner; 0 at first. */
  public winner = 0;
  /** The winner's number. */
  public least: number;
  // node i has the children 2i and 2i + 1 and holds the winner of both and its value; player p is node `leaves + p`
  private readonly values: Float64Array;
  private readonly winners: Int32Array;
  private readonly leaves: number;
  private readonly turns: Float64Array;
  private turn: number;

  constructor(players: number, value: number) {
    let leaves = 1;
    while (leaves < players) {
      leaves *= 2;
    }
    this.leaves = leaves;
    this.turns = Float64Array.from({ length: leaves }, (_, player) => player);
    this.turn = leaves;
    this.least = value;
    this.values = new Float64Array(2 * leaves).fill(value);
    this.values.fill(Infinity, leaves + players);
    this.winners = new Int32Array(2 * leaves);
    for (let i = 0; i < leaves; i++) {
      this.winners[leaves + i] = i;
    }
    for (let i = leaves - 1; i > 0; i--) {
      this.winners[i] = this.winners[2 * i];
      this.values[i] = this.values[2 * i];
    }
  }

  public valueOf(player: number): number {
    return this.values[this.leaves + player];
  }

  /** When a player had its last turn, in a count that grows with each. */
  public turnOf(player: number): number {
    return this.turns[player];
  }

  /** It is a player's turn, which gets another number. */
  public take(player: number, value: number): void {
    this.turns[player] = this.turn++;
    this.play(player, value);
  }

  public set(player: number, value: number): void {
    if (this.values[this.leaves + player] !== value) {
      this.play(player, value);
    }
  }

  private play(player: number, value: number): void {
    const { values, winners, turns } = this;
    let node = this.leaves + player;
    let least = value;
    let winner = player;
    values[node] = value;
    while (node > 1) {
      const rival = values[node ^ 1];
      // turns are looked up of equals alone, and of those that are lower
      if (rival <= least && isBefore(rival, turns[winners[node ^ 1]], least, turns[winner])) {
        least = rival;
        winner = winners[node ^ 1];
      }
      node >>= 1;
      // where it wins itself its turn may be another
      if (winners[node] === winner && values[node] === least && winner !== player) {
        return;
      }
      values[node] = least;
      winners[node] = winner;
    }
    this.winner = winner;
    this.least = least;
  }
}
