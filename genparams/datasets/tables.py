"""The tables that come with genparams, each with its reference fits.

Where a fit has a name for a parameter, the name is in the formula of the fit's `model`.
"""

import math

from genparams.datasets.table import ReferenceFit, Table, read

# --- A response and what it depends on


def mtcars() -> Table:
    """Fuel use and ten traits of 32 cars of 1973-74.

    Columns: `mpg` miles per US gallon, `cyl` cylinders, `disp` displacement in cubic inches, `hp`
    gross horsepower, `drat` rear axle ratio, `wt` weight in 1000 pounds, `qsec` seconds for a
    quarter of a mile from rest, `vs` 1 for a straight engine and 0 for a V, `am` 1 for a manual
    gearbox and 0 for an automatic, `gear` forward gears, `carb` carburettors.

    Fits: `line`.

    Source: Motor Trend, 1974, as printed in Henderson and Velleman, 1981, Biometrics 37, 391-411.

    >>> mtcars()["mpg"][:3]
    array([21. , 21. , 22.8])
    """
    line = ReferenceFit(
        "mpg ~ normal(intercept + slope wt, sigma)",
        {"intercept": 37.28512616734203, "slope": -5.344471572722677, "sigma": 2.949162685955028},
        {
            "intercept": 1.8180048518939624,
            "slope": 0.5413472591292097,
            "sigma": 0.36864533574437847,
        },
        -80.01471449593808,
        "R, lm(mpg ~ wt): 37.2851 (1.8776), -5.3445 (0.5591), logLik -80.01471; its standard errors"
        " are these times sqrt(32 / 30)",
    )
    return read("mtcars.csv", line=line)


def oring() -> Table:
    """Distress of O-rings on the 23 space shuttle flights before Challenger's last, in order.

    Columns: `temp` degrees Fahrenheit at the joint, `distress` 1 if any of the six primary O-rings
    in the field joints had erosion or blow-by and 0 if not, `n_fail` how many of them had.

    Printed tables differ in what they count. This one counts erosion and blow-by. A table that
    counts erosion alone has no failure at 75 degrees; a table that counts damage of every kind has
    5 at 53 degrees and 1 at 75: that is `oring_damage`.

    Fits: `logit`.

    Source: Dalal, Fowlkes and Hoadley, 1989, Journal of the American Statistical Association 84,
    945-957.

    >>> int(oring()["distress"].sum())
    7
    """
    logit = ReferenceFit(
        "distress ~ bernoulli(logits=intercept + slope temp)",
        {"intercept": 15.04290164770245, "slope": -0.23216274421859662},
        {"intercept": 7.378636384916241, "slope": 0.10823652164928069},
        -10.157596343933413,
        "R, glm(distress ~ temp, binomial): 15.0429 (7.3786), -0.2322 (0.1082), residual deviance"
        " 20.315",
        {"slope": (-0.51543254, -0.06078626)},
    )
    return read("oring_binary.csv", logit=logit)


def oring_damage() -> Table:
    """Damaged O-rings on the 23 space shuttle flights before Challenger's last, by temperature.

    Columns: `temp` degrees Fahrenheit at the joint, `damaged` how many of the six primary O-rings
    had damage of any kind. `oring` counts erosion and blow-by.

    Fits: `logit`.

    Source: Presidential Commission on the Space Shuttle Challenger Accident, 1986, as printed in
    Faraway, 2006, Extending the Linear Model with R, Chapman and Hall/CRC.

    >>> oring_damage()["damaged"][:4]
    array([5., 1., 1., 1.])
    """
    logit = ReferenceFit(
        "damaged ~ binomial(6, logits=intercept + slope temp)",
        {"intercept": 11.662989695265303, "slope": -0.2162336641136633},
        {"intercept": 3.2962632893777912, "slope": 0.05317703324832399},
        -14.837393752220837,
        "Faraway: 11.66299 (3.29626), -0.21623 (0.05318), residual deviance 16.912",
    )
    return read("oring_damage.csv", logit=logit)


def beetles() -> Table:
    """Flour beetles killed by eight doses of carbon disulphide.

    Columns: `dose` log10 of milligrams per litre, `n` beetles, `killed` how many of them died.

    Fits: `logit` and `cloglog`, the complementary log-log link.

    Source: Bliss, 1935, Annals of Applied Biology 22, 134-167.

    >>> beetles()["killed"].sum() / beetles()["n"].sum()
    np.float64(0.604989604989605)
    """
    logit = ReferenceFit(
        "killed ~ binomial(n, logits=intercept + slope dose)",
        {"intercept": -60.71745456163547, "slope": 34.270325734147015},
        {"intercept": 5.180711463340446, "slope": 2.912140070635529},
        -18.715134657256016,
        "Dobson, 1990: -60.72 (5.180), 34.27 (2.912), deviance 11.23",
    )
    cloglog = ReferenceFit(
        "killed ~ binomial(n, 1 - exp(-exp(intercept + slope dose)))",
        {"intercept": -39.572310606137236, "slope": 22.041169820757577},
        {"intercept": 3.2290459731405, "slope": 1.7930880070115645},
        -14.822238475058551,
        "Dobson, 1990, with expected information: -39.572 (3.240), 22.041 (1.799), deviance 3.45",
    )
    return read("beetles.csv", logit=logit, cloglog=cloglog)


def puromycin() -> Table:
    """Speed of an enzyme's reaction by concentration, in cells with and without puromycin.

    Columns: `conc` concentration of the substrate in parts per million, `rate` counts per minute
    per minute, `state` the word `treated` or `untreated`.

    Fits: `treated`, the Michaelis-Menten curve of the 12 treated rows.

    Source: Treloar, 1974, thesis, University of Toronto, as printed in Bates and Watts, 1988,
    Nonlinear Regression Analysis and Its Applications, Wiley.

    >>> int((puromycin()["state"] == "treated").sum())
    12
    """
    treated = ReferenceFit(
        "rate ~ normal(Vm conc / (K + conc), sigma)",
        {"Vm": 212.68374314253606, "K": 0.06412128168156707, "sigma": 9.981018712366652},
        {"Vm": 6.536765658054115, "K": 0.007952238893577995, "sigma": 2.0373669132057564},
        -44.63548432447377,
        "R, nls: 212.7 (6.947), 0.06412 (0.008281), with expected information and 10 degrees of"
        " freedom",
    )
    return read("puromycin.csv", treated=treated)


def dobson() -> Table:
    """Nine counts of a randomised controlled trial, by outcome and treatment.

    Columns: `count`, `outcome` 1 to 3, `treatment` 1 to 3. Each treatment has 50 counts in all, so
    that two of the estimates are exactly 0.

    Fits: `log_linear`, with indicators of the outcomes and treatments 2 and 3.

    Source: Dobson, 1990, An Introduction to Generalized Linear Models, Chapman and Hall, page 93.

    >>> dobson()["count"]
    array([18., 17., 15., 20., 10., 20., 25., 13., 12.])
    """
    log_linear = ReferenceFit(
        "count ~ poisson(exp(intercept + outcome2 + outcome3 + treatment2 + treatment3)), each"
        " where it holds",
        {
            "intercept": 3.044522437723423,
            "outcome2": -0.4542552722775965,
            "outcome3": -0.29298712468147425,
            "treatment2": 0.0,
            "treatment3": 0.0,
        },
        {
            "intercept": 0.1708986518564415,
            "outcome2": 0.20217075919384553,
            "outcome3": 0.19274234515979285,
            "treatment2": 0.2,
            "treatment3": 0.2,
        },
        -23.380659200978812,
        "R, example(glm): 3.045 (0.1709), -0.4543 (0.2022), -0.2930 (0.1927), 0 (0.2), 0 (0.2),"
        " deviance 5.1291",
    )
    return read("dobson.csv", log_linear=log_linear)


def eight_schools() -> Table:
    """Effects of coaching on a test of aptitude in eight schools.

    Columns: `school` a letter, `y` the estimated effect in points, `se` its standard error, taken
    as known.

    Fits: `marginal`. The likelihood is largest at tau = 0, the bound, so that tau has no standard
    error.

    Source: Rubin, 1981, Journal of Educational Statistics 6, 377-401.

    >>> print(*eight_schools()["school"])
    A B C D E F G H
    """
    marginal = ReferenceFit(
        "y ~ normal(mu, sqrt(se^2 + tau^2))",
        {"mu": 7.685616724956035, "tau": 0.0},
        {"mu": 4.071919158402296},
        -29.674243687996672,
        "In closed form at tau = 0: the mean with weights 1 / se^2",
    )
    return read("eight_schools.csv", marginal=marginal)


# --- One sample


def horsekicks() -> Table:
    """Deaths by horse kick in ten corps of the Prussian army over twenty years.

    Columns: `deaths` 0 to 4, `corps_years` how many years of one corps had that many deaths.

    Fits: `poisson`. Its rate is 122 / 200 exactly.

    Source: von Bortkiewicz, 1898, Das Gesetz der kleinen Zahlen, Teubner, Leipzig.

    >>> table = horsekicks()
    >>> int(table["corps_years"].sum()), int((table["deaths"] * table["corps_years"]).sum())
    (200, 122)
    """
    poisson = ReferenceFit(
        "deaths ~ poisson(rate), once for each of the corps_years",
        {"rate": 0.61},
        {"rate": math.sqrt(122.0) / 200.0},
        -206.1067214717541,
        "von Bortkiewicz: 0.61 deaths in a year of a corps",
    )
    return read("horsekicks.csv", poisson=poisson)


def aircondit() -> Table:
    """12 times between failures of the air-conditioning of one aeroplane, in increasing order.

    Columns: `hours`.

    Fits: `exponential` and `gamma`. The statistic of their likelihood-ratio test is 1.09881172,
    with 1 degree of freedom.

    Source: Proschan, 1963, Technometrics 5, 375-383; Davison and Hinkley, 1997, Bootstrap Methods
    and their Application, Cambridge, example 1.1.

    >>> float(aircondit()["hours"].sum())
    1297.0
    """
    exponential = ReferenceFit(
        "hours ~ exponential(1 / mean)",
        {"mean": 1297.0 / 12.0},
        {"mean": 31.200970797456005},
        -68.19483041434133,
        "Davison and Hinkley: mean 108.083",
    )
    gamma = ReferenceFit(
        "hours ~ gamma(shape, scale=mean / shape)",
        {"shape": 0.706493174804288, "mean": 1297.0 / 12.0},
        {"shape": 0.24597173338570621, "mean": 37.120526011041754},
        -67.64542455580194,
        "Davison and Hinkley: shape 0.707, mean 108.083",
    )
    return read("aircondit.csv", exponential=exponential, gamma=gamma)


def faithful() -> Table:
    """272 eruptions of the Old Faithful geyser.

    Columns: `eruptions` minutes that an eruption lasted, `waiting` minutes until the next began.

    Fits: `mixture`, of two normals on `waiting`.

    Source: Haerdle, 1991, Smoothing Techniques with Implementation in S, Springer; a longer record
    is in Azzalini and Bowman, 1990, Applied Statistics 39, 357-365.

    >>> faithful()["waiting"].shape
    (272,)
    """
    mixture = ReferenceFit(
        "waiting ~ share normal(mean1, std1) + (1 - share) normal(mean2, std2)",
        {
            "share": 0.36088607379017146,
            "mean1": 54.61485614062293,
            "mean2": 80.09106940273364,
            "std1": 5.871219412224481,
            "std2": 5.867734423707706,
        },
        {
            "share": 0.03116475468763715,
            "mean1": 0.6996749794165688,
            "mean2": 0.5045947139973507,
            "std1": 0.5373223821960936,
            "std2": 0.40096150393882835,
        },
        -1034.0017498316079,
        "Benaglia, Chauveau, Hunter and Young, 2009, Journal of Statistical Software 32 (6): share"
        " .361, means 54.6149 and 80.0911, standard deviations 5.8712 and 5.8677, log-likelihood"
        " -1034.00",
    )
    return read("faithful.csv", mixture=mixture)


def linkage() -> Table:
    """197 animals in four classes, a problem of genetic linkage.

    Columns: `count` the animals of each class. Their probabilities are 1/2 + t/4, (1 - t)/4,
    (1 - t)/4 and t/4.

    Fits: `multinomial`.

    Source: Rao, 1965, Linear Statistical Inference and Its Applications, Wiley, pages 368-369;
    Dempster, Laird and Rubin, 1977, Journal of the Royal Statistical Society B 39, 1-38.

    >>> linkage()["count"]
    array([125.,  18.,  20.,  34.])
    """
    multinomial = ReferenceFit(
        "count ~ multinomial(197, [1/2 + t/4, (1 - t)/4, (1 - t)/4, t/4])",
        {"t": 0.6268214978709824},
        {"t": 0.05146734920088868},
        -7.548657516332014,
        "Dempster, Laird and Rubin: t 0.6268214980",
    )
    return read("linkage.csv", multinomial=multinomial)


# --- In time


def nile() -> Table:
    """Flow of the Nile at Aswan in each of the 100 years 1871-1970.

    Columns: `year`, `flow` in 10^8 cubic metres.

    Fits: `local_level`, of a level that walks with variance var_eta and is observed with variance
    var_eps. The likelihood is for 99 flows, given the first.

    Source: Cobb, 1978, Biometrika 65, 243-251; Durbin and Koopman, 2001, Time Series Analysis by
    State Space Methods, Oxford.

    >>> float(nile()["flow"].mean())
    919.35
    """
    local_level = ReferenceFit(
        "flow ~ normal(level, sqrt(var_eps)), change of level ~ normal(0, sqrt(var_eta))",
        {"var_eps": 15098.518324096283, "var_eta": 1469.1763603095146},
        {"var_eps": 3145.5478631932738, "var_eta": 1280.3754128044247},
        -632.545625103041,
        "Durbin and Koopman: 15099 and 1469.1",
    )
    return read("nile.csv", local_level=local_level)


def coal() -> Table:
    """191 explosions in British coal mines that killed ten or more, 1851-1962, in order.

    Columns: `date` the year with a fraction, so that its whole part is the calendar year.

    Fits: `step`, of two rates in the yearly counts, with the break after 1891. The standard errors
    take the break as known.

    Source: Jarrett, 1979, Biometrika 66, 191-193, which corrects Maguire, Pearson and Wynn, 1952,
    Biometrika 39, 168-180.

    >>> coal()["date"].shape
    (191,)
    """
    step = ReferenceFit(
        "count of a year ~ poisson(early) until 1891, poisson(late) from 1892",
        {"early": 127.0 / 41.0, "late": 64.0 / 71.0},
        {"early": math.sqrt(127.0) / 41.0, "late": math.sqrt(64.0) / 71.0},
        -168.57599715629925,
        "In closed form: the explosions before and after the break, divided by the years",
    )
    return read("coal.csv", step=step)
