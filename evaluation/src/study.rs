//! Many subjects and methods: a list or a BIDS dataset, evaluated side by side and compared.
