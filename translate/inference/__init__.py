"""From a model folder to pictures: reading and writing them, tiles, engines, export."""
