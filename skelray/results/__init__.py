"""The tables of a study: their schema, the rows that fill them, the scores behind them, and what they say."""
